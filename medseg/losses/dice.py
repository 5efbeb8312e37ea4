"""Soft Dice: plain, with cross-entropy, and weighted against rare classes."""

from __future__ import annotations

import keras
from keras import ops

from medseg.losses.comparison import Tensor, compared, mean_of_known, voxel_sum

SMOOTH = 1e-5  # as nnU-Net: keeps an absent class that is not predicted from dividing 0 by 0


@keras.saving.register_keras_serializable("medseg")
class SoftDice(keras.losses.Loss):
    """One minus the soft Dice of each foreground class or region, averaged (Drozdzal et al. 2016).

    Background does not count, nor do ignored voxels. Truth and logits as
    :func:`medseg.losses.comparison.compared`.

    Parameters
    ----------
    batch : bool
        Take Dice over all voxels of the batch at once, which is steadier where small structures
        are in few patches; otherwise for each sample, one value each.
    smooth : float
        Added to numerator and denominator.
    """

    def __init__(self, *, batch: bool = False, smooth: float = SMOOTH, **kwargs) -> None:
        super().__init__(**kwargs)
        self.batch, self.smooth = batch, smooth

    def call(self, y_true, y_pred):
        return self.of(compared(y_true, y_pred))

    def of(self, comparison) -> Tensor:
        """Return the loss of a comparison, ``(B,)`` or ``(1,)``."""
        shared, true, predicted = sums(*comparison.foreground(), self.batch)
        dice = (2 * shared + self.smooth) / (true + predicted + self.smooth)  # (B, C - 1)
        return 1 - ops.mean(dice, axis=-1)

    def get_config(self) -> dict:
        return {**super().get_config(), "batch": self.batch, "smooth": self.smooth}


@keras.saving.register_keras_serializable("medseg")
class DiceCrossEntropy(SoftDice):
    """Soft Dice plus cross-entropy, both with weight one (Isensee et al., Nature Methods 2021).

    Cross-entropy is the mean over known voxels, background included; of regions, binary
    cross-entropy, the mean over voxels and regions.
    """

    def of(self, comparison) -> Tensor:
        entropy = mean_of_known(comparison.entropy(), comparison.known)
        return super().of(comparison) + entropy


@keras.saving.register_keras_serializable("medseg")
class GeneralizedDice(SoftDice):
    """One minus a Dice to which every class adds by the inverse square of its size.

    Sudre et al., DLMIA 2017: background counts too, and small structures as much as large ones.
    Weights are scaled so that the smallest class that is there has 1; a class that is not has 1
    as well, in place of the infinity of the paper.
    """

    def of(self, comparison) -> Tensor:
        shared, true, predicted = sums(comparison.truth, comparison.probability(), self.batch)
        there = true > 0
        largest = ops.max(true, axis=-1, keepdims=True)
        smallest = ops.min(ops.where(there, true, largest), axis=-1, keepdims=True)
        weight = ops.where(there, ops.square(smallest / ops.maximum(true, 1.0)), 1.0)  # (B, C)
        above = 2 * ops.sum(weight * shared, axis=-1) + self.smooth
        below = ops.sum(weight * (true + predicted), axis=-1) + self.smooth
        return 1 - above / below


def sums(truth: Tensor, probability: Tensor, batch: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return what truth and probability share, and the sum of each: ``(B, C)``, or ``(1, C)``."""
    found = tuple(voxel_sum(values) for values in (truth * probability, truth, probability))
    if batch:
        found = tuple(ops.sum(values, axis=0, keepdims=True) for values in found)
    return found
