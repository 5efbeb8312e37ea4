"""What every loss compares: truth and logits in one form, without what is ignored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

Tensor = Any  # of whatever backend Keras runs on


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Truth and logits of one batch, float32.

    Attributes
    ----------
    truth : (B, ..., C) tensor
        1 where a voxel belongs to a class or region, else 0; 0 where it is ignored.
    known : (B, ..., 1) or (B, ..., C) tensor
        0 where the truth is ignored, else 1.
    logits : (B, ..., C) tensor
    exclusive : bool
        True for classes, of which each voxel has one and the first is background; False for
        regions, which overlap.
    """

    truth: Tensor
    known: Tensor
    logits: Tensor
    exclusive: bool

    def probability(self) -> Tensor:
        """Return softmax or sigmoid of the logits, 0 where the truth is ignored."""
        squashed = ops.softmax(self.logits) if self.exclusive else ops.sigmoid(self.logits)
        return squashed * self.known

    def foreground(self) -> tuple[Tensor, Tensor]:
        """Return truth and probability of all regions, or of all classes but background."""
        first = 1 if self.exclusive else 0
        return self.truth[..., first:], self.probability()[..., first:]

    def entropy(self) -> Tensor:
        """Return minus the log of the probability given to the truth, like ``known`` in shape."""
        if self.exclusive:
            return -ops.sum(self.truth * ops.log_softmax(self.logits), axis=-1, keepdims=True)
        return (ops.softplus(self.logits) - self.logits * self.truth) * self.known


def compared(y_true: Tensor, y_pred: Tensor) -> Comparison:
    """Return truth and logits in one form.

    Parameters
    ----------
    y_true : tensor
        Classes: their numbers ``(B, ..., 1)``, -1 where ignored. Regions: 0 or 1 in each
        channel ``(B, ..., R)``, -1 where ignored.
    y_pred : tensor
        Logits of any float type: ``(B, ..., C)`` with two classes or more, background first;
        or ``(B, ..., R)``, as many channels as the truth, which makes them regions.

    Raises
    ------
    ValueError
        The truth has neither one channel nor as many as the logits.
    """
    logits = ops.cast(y_pred, "float32")
    told, made = y_true.shape[-1], y_pred.shape[-1]
    if told == made:
        truth = ops.cast(y_true, "float32")
        known = ops.cast(truth >= 0, "float32")
        return Comparison(truth * known, known, logits, exclusive=False)
    if told != 1:
        raise ValueError(f"truth has {told} channels and logits have {made}")
    number = ops.cast(y_true, "int32")
    known = ops.cast(number >= 0, "float32")
    number = ops.maximum(ops.squeeze(number, axis=-1), 0)
    truth = ops.one_hot(number, made, dtype="float32") * known
    return Comparison(truth, known, logits, exclusive=True)


def voxel_sum(values: Tensor) -> Tensor:
    """Return the sum over all axes but the first and the last, ``(B, C)``."""
    return ops.sum(ops.reshape(values, (ops.shape(values)[0], -1, values.shape[-1])), axis=1)


def mean_of_known(values: Tensor, known: Tensor) -> Tensor:
    """Return for each sample its share of the mean over the known voxels of the batch, ``(B,)``.

    The mean of what comes back is the mean over all known voxels, so that each counts the same
    however few of them its sample has; 0 where all are ignored.
    """
    known = ops.broadcast_to(known, ops.shape(values))
    total = ops.sum(voxel_sum(values * known), axis=-1)
    count = ops.sum(voxel_sum(known), axis=-1)
    return total / ops.maximum(ops.mean(count), 1e-6)  # below 1 / B only where it is 0
