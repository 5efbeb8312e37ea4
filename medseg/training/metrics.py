"""Overlap scores as Keras metrics, for ``compile(metrics=[...])``."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class _Overlap(keras.metrics.Metric):
    """The mean of an overlap over samples, then over foreground classes.

    Shapes as in the losses: ``y_true`` holds class numbers ``(B, ..., 1)``, ``y_pred`` logits or
    probabilities ``(B, ..., C)`` with background first, of which the largest wins; of regions
    both are ``(B, ..., R)``, logits above 0 where the region is. Voxels whose truth is -1 do
    not count. A sample where
    the overlap is nan in :mod:`medseg.metrics` does not count for that class, and a class that
    never counted does not count in the mean: on whole cases the result is what
    ``np.nanmean`` makes of ``medseg.metrics``. On patches it is the mean over patches, which a
    case's score is not; and surface distances have no meaning there, so there are none.

    Parameters
    ----------
    classes : int
        Channels of the output, background included; of regions one more than there are.
    only : int, optional
        The one class to report, from 1, in place of the mean.
    """

    def __init__(
        self, classes: int, only: int | None = None, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name or type(self).__name__.lower(), **kwargs)
        if only is not None and not 1 <= only < classes:
            raise ValueError(f"only={only} is no foreground class of {classes} classes")
        self.classes = classes
        self.only = only
        self.summed = self.add_weight(shape=(classes - 1,), initializer="zeros", name="summed")
        self.counted = self.add_weight(shape=(classes - 1,), initializer="zeros", name="counted")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add the overlaps of a batch; a weight counts a sample as that many."""
        y_true = ops.cast(y_true, "int32")
        known = ops.cast(y_true >= 0, "int32")
        if y_true.shape[-1] == y_pred.shape[-1]:
            truth, found = y_true * known, ops.cast(y_pred > 0, "int32") * known  # (B, ..., R)
        else:
            truth = self._foreground(ops.squeeze(y_true, axis=-1)) * known  # (B, ..., C - 1)
            found = self._foreground(ops.argmax(y_pred, axis=-1)) * known
        spatial = tuple(range(1, len(truth.shape) - 1))
        part, whole = self._ratio(
            *(ops.sum(one, axis=spatial) for one in (truth * found, truth, found))
        )  # (B, C - 1)
        part, whole = ops.cast(part, self.dtype), ops.cast(whole, self.dtype)
        weight = ops.cast(whole > 0, self.dtype)
        if sample_weight is not None:
            weight = weight * ops.reshape(ops.cast(sample_weight, self.dtype), (-1, 1))
        self.summed.assign_add(ops.sum(weight * part / ops.maximum(whole, 1), axis=0))
        self.counted.assign_add(ops.sum(weight, axis=0))

    def _foreground(self, numbers):
        """Return class numbers as whole numbers 0 and 1, exact however large the volume."""
        return ops.one_hot(ops.cast(numbers, "int32"), self.classes, dtype="int32")[..., 1:]

    def _ratio(self, shared, truth, found):
        raise NotImplementedError

    def result(self):
        """Return the mean so far; nan when nothing counted."""
        if self.only is not None:
            return self.summed[self.only - 1] / self.counted[self.only - 1]
        held = ops.cast(self.counted > 0, self.dtype)
        of_class = self.summed / ops.where(self.counted > 0, self.counted, 1)
        return ops.sum(of_class) / ops.sum(held)

    def get_config(self) -> dict[str, Any]:
        """Return what builds it again."""
        return {**super().get_config(), "classes": self.classes, "only": self.only}


@keras.saving.register_keras_serializable("medseg")
class Dice(_Overlap):
    """Mean Dice, as :func:`medseg.metrics.dice`."""

    def _ratio(self, shared, truth, found):
        return 2 * shared, truth + found


@keras.saving.register_keras_serializable("medseg")
class IoU(_Overlap):
    """Mean intersection over union, as :func:`medseg.metrics.iou`."""

    def _ratio(self, shared, truth, found):
        return shared, truth + found - shared


@keras.saving.register_keras_serializable("medseg")
class Sensitivity(_Overlap):
    """Mean sensitivity, as :func:`medseg.metrics.sensitivity`."""

    def _ratio(self, shared, truth, found):
        return shared, truth


@keras.saving.register_keras_serializable("medseg")
class Precision(_Overlap):
    """Mean precision, as :func:`medseg.metrics.precision`."""

    def _ratio(self, shared, truth, found):
        return shared, found
