"""The convolutional network of the textbooks: convolve, rectify, pool, twice, then dense layers."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from medseg.networks.unet import CONVOLUTION

POOLING = {2: layers.MaxPooling2D, 3: layers.MaxPooling3D}


def textbook_cnn(
    *,
    channels: int,
    classes: int,
    size: Sequence[int] = (28, 28),
    filters: Sequence[int] = (32, 64),
    dense: int = 128,
    name: str = "textbook_cnn",
) -> keras.Model:
    """Build convolution, ReLU and max pooling for each of ``filters``, and two dense layers.

    LeCun et al., Proceedings of the IEEE 1998, with rectifiers and max pooling in place of
    sigmoids and subsampling. The softmax of the textbooks is taken by loss and prediction, as
    with every network here: cross-entropy is exact on logits, not on probabilities near 0.

    Parameters
    ----------
    channels : int
        Of the input.
    classes : int
        All of them; there is no background.
    size : sequence of int
        Of the image, since a dense layer wants a fixed one: two numbers make a 2-D network,
        three a 3-D one. Each must survive one halving for each of ``filters``.
    filters : sequence of int
        Of each convolution; kernels are 3 wide, pooling halves.
    dense : int
        Units between features and classes.

    Returns
    -------
    keras.Model
        From ``(B, *size, channels)`` to logits ``(B, classes)``, float32 under every policy;
        their softmax is the probability.

    Raises
    ------
    ValueError
        ``size`` has not 2 or 3 numbers, or is too small for so many halvings.
    """
    rank, shortest = len(size), 2 ** len(filters)
    if rank not in CONVOLUTION:
        raise ValueError(f"size needs 2 or 3 numbers; received {list(size)}")
    if min(size) < shortest:
        raise ValueError(
            f"{len(filters)} poolings need {shortest} voxels an axis; received {list(size)}"
        )
    inputs = keras.Input((*size, channels), name="image")
    x = inputs
    for number, width in enumerate(filters, start=1):
        x = CONVOLUTION[rank](
            width, 3, padding="same", activation="relu", kernel_initializer="he_normal",
            name=f"convolution_{number}",
        )(x)  # fmt: skip
        x = POOLING[rank](2, name=f"pool_{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(dense, activation="relu", kernel_initializer="he_normal", name="dense")(x)
    logits = layers.Dense(classes, dtype="float32", name="head")(x)
    return keras.Model(inputs, logits, name=name)
