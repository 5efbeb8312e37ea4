"""Cross-entropy of class numbers."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("medseg")
class CrossEntropy(keras.losses.Loss):
    """Minus the logarithm of the probability of the true class, averaged over places.

    ``y_true`` holds class numbers ``(B, ..., 1)``, ``y_pred`` logits ``(B, ..., C)``: one value
    a sample, computed in float32. Places with class number -1 do not count.
    """

    def call(self, y_true, y_pred):
        numbers = ops.cast(ops.squeeze(y_true, axis=-1), "int32")  # (B, ...)
        counts = ops.cast(numbers >= 0, "float32")
        log_shares = ops.log_softmax(ops.cast(y_pred, "float32"))
        truth = ops.one_hot(ops.maximum(numbers, 0), y_pred.shape[-1], dtype="float32")
        entropy = -ops.sum(truth * log_shares, axis=-1) * counts
        places = tuple(range(1, len(entropy.shape)))
        if not places:
            return entropy
        return ops.sum(entropy, axis=places) / ops.maximum(ops.sum(counts, axis=places), 1.0)
