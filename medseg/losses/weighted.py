"""Several losses as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from medseg.losses.build import loss


@keras.saving.register_keras_serializable("medseg")
class WeightedSum(keras.losses.Loss):
    """The sum of other losses, each times its weight.

    Parameters
    ----------
    of : sequence of mappings
        Each with the ``name`` of a loss, its ``weight`` (1 when left out) and its arguments.

    Examples
    --------
    >>> from medseg.losses import loss
    >>> near = {"name": "boundary", "weight": 0.01}
    >>> loss("sum", of=[{"name": "dice_cross_entropy"}, near]).weights
    [1.0, 0.01]
    """

    def __init__(self, *, of: Sequence[Mapping[str, Any]], **kwargs) -> None:
        if not of:
            raise ValueError("of needs one loss at least")
        super().__init__(**kwargs)
        self.of = [dict(told) for told in of]
        self.weights = [float(told.get("weight", 1.0)) for told in self.of]
        self.losses = [loss(**{k: v for k, v in told.items() if k != "weight"}) for told in self.of]

    def call(self, y_true, y_pred):
        return sum(
            weight * one.call(y_true, y_pred)
            for weight, one in zip(self.weights, self.losses, strict=True)
        )

    def get_config(self) -> dict:
        return {**super().get_config(), "of": self.of}
