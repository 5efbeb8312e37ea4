"""Overlap in which what is missed may cost more than what is too much."""

from __future__ import annotations

import keras
from keras import ops

from medseg.losses.comparison import compared
from medseg.losses.dice import SMOOTH, sums

SMALL = 1e-7  # keeps a root from an infinite slope where the overlap is perfect


@keras.saving.register_keras_serializable("medseg")
class Tversky(keras.losses.Loss):
    """One minus the Tversky index of each foreground class or region, averaged.

    The index is what is shared, over that plus ``alpha`` times what is too much plus ``beta``
    times what is missed (Salehi et al., MLMI 2017). Truth and logits as
    :func:`medseg.losses.comparison.compared`.

    Parameters
    ----------
    alpha, beta : float
        Both 0.5 give Dice; ``beta`` above ``alpha`` finds more and is less precise.
    batch, smooth
        As :class:`medseg.losses.dice.SoftDice`.
    """

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        batch: bool = False,
        smooth: float = SMOOTH,
        **kwargs,
    ) -> None:
        if min(alpha, beta) < 0:
            raise ValueError(f"alpha and beta must not be negative; received {alpha}, {beta}")
        super().__init__(**kwargs)
        self.alpha, self.beta, self.batch, self.smooth = alpha, beta, batch, smooth

    def call(self, y_true, y_pred):
        return ops.mean(self.misses(y_true, y_pred), axis=-1)

    def misses(self, y_true, y_pred):
        """Return one minus the index of each class, ``(B, C - 1)`` or ``(1, C - 1)``."""
        foreground = compared(y_true, y_pred).foreground()
        shared, true, predicted = sums(*foreground, self.batch)
        wrong = self.alpha * (predicted - shared) + self.beta * (true - shared)
        return wrong / (shared + wrong + self.smooth)

    def get_config(self) -> dict:
        own = {name: getattr(self, name) for name in ("alpha", "beta", "batch", "smooth")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("medseg")
class FocalTversky(Tversky):
    """The Tversky loss of each class to the power ``1 / gamma`` (Abraham and Khan, ISBI 2019).

    Above 1, ``gamma`` makes classes that are nearly right count more, below 1 less.
    """

    def __init__(self, *, gamma: float = 4 / 3, **kwargs) -> None:
        if gamma <= 0:
            raise ValueError(f"gamma must be above 0; received {gamma}")
        super().__init__(**kwargs)
        self.gamma = gamma

    def call(self, y_true, y_pred):
        misses = ops.maximum(self.misses(y_true, y_pred), SMALL)
        return ops.mean(ops.power(misses, 1 / self.gamma), axis=-1)

    def get_config(self) -> dict:
        return {**super().get_config(), "gamma": self.gamma}
