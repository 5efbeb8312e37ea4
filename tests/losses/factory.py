"""Truths, logits and gradients for tests of losses."""

import numpy as np

CLASSES, REGIONS = "classes", "regions"


def make_pair(kind=CLASSES, shape=(2, 6, 8, 4), channels=3, *, ignored=0.0, seed=0):
    """Return random truth and logits as float64; a share of the voxels is ignored."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (*shape, channels))
    if kind == CLASSES:
        truth = rng.integers(0, channels, (*shape, 1))
    else:
        truth = rng.integers(0, 2, (*shape, channels))
    truth[rng.random(shape) < ignored] = -1
    return truth, logits


def plain(truth, logits):
    """Return one-hot truth, probability and the known voxels ``(B, N, C)``, by other means."""
    count, channels = len(logits), logits.shape[-1]
    logits = logits.reshape(count, -1, channels).astype(float)
    if truth.shape[-1] == channels:
        truth = truth.reshape(count, -1, channels)
        return (truth == 1).astype(float), 1 / (1 + np.exp(-logits)), truth >= 0
    truth = truth.reshape(count, -1)
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    hot = (truth[..., np.newaxis] == np.arange(channels)).astype(float)
    return hot, raised / raised.sum(axis=-1, keepdims=True), (truth >= 0)[..., np.newaxis]


def graded(loss, truth, logits):
    """Return the value of a loss and its gradient by the logits."""
    import tensorflow as tf

    variable = tf.Variable(np.asarray(logits))
    with tf.GradientTape() as tape:
        value = loss(truth, variable)
    return float(value), np.asarray(tape.gradient(value, variable), np.float64)
