"""Soft Dice, alone and with cross-entropy."""

from __future__ import annotations

import keras
from keras import ops

SMOOTH = 1e-5  # as nnU-Net: keeps an absent class that is not predicted from dividing 0 by 0


@keras.saving.register_keras_serializable("medseg")
class SoftDice(keras.losses.Loss):
    """One minus the soft Dice of each foreground class, averaged (Drozdzal et al. 2016).

    ``y_true`` holds class numbers ``(B, ..., 1)``, ``y_pred`` logits ``(B, ..., C)`` with
    background first. Dice is taken for each sample and class over all its voxels, then the
    mean over classes: one value a sample. Background does not count.
    """

    def call(self, y_true, y_pred):
        return _soft_dice(_one_hot(y_true, y_pred), ops.softmax(y_pred))


@keras.saving.register_keras_serializable("medseg")
class DiceCrossEntropy(keras.losses.Loss):
    """Soft Dice plus cross-entropy, both with weight one (Isensee et al. 2021).

    Shapes as in :class:`SoftDice`; cross-entropy is the mean over voxels, background included.
    """

    def call(self, y_true, y_pred):
        truth = _one_hot(y_true, y_pred)
        entropy = -ops.sum(truth * ops.log_softmax(y_pred), axis=-1)  # (B, ...)
        spatial = tuple(range(1, len(entropy.shape)))
        return _soft_dice(truth, ops.softmax(y_pred)) + ops.mean(entropy, axis=spatial)


def _one_hot(y_true, y_pred):
    """Return the truth as ``(B, ..., C)`` in the type of the logits."""
    return ops.one_hot(
        ops.cast(ops.squeeze(y_true, axis=-1), "int32"), y_pred.shape[-1], dtype=y_pred.dtype
    )


def _soft_dice(truth, probability):
    """Return one minus the mean Dice of the foreground classes, ``(B,)``."""
    truth, probability = truth[..., 1:], probability[..., 1:]
    spatial = tuple(range(1, len(truth.shape) - 1))
    shared = ops.sum(truth * probability, axis=spatial)  # (B, C - 1)
    both = ops.sum(truth, axis=spatial) + ops.sum(probability, axis=spatial)
    return 1 - ops.mean((2 * shared + SMOOTH) / (both + SMOOTH), axis=-1)
