"""A classifier of whole images: the residual U-Net's encoder, pooled."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from medseg.networks.residual_unet import residual_stages
from medseg.networks.unet import checked_rank

POOLING = {2: layers.GlobalAveragePooling2D, 3: layers.GlobalAveragePooling3D}


def residual_classifier(
    *,
    channels: int,
    classes: int,
    features: Sequence[int],
    kernels: Sequence[Sequence[int]],
    strides: Sequence[Sequence[int]],
    blocks: Sequence[int] | None = None,
    dropout: float = 0.0,
    name: str = "residual_classifier",
) -> keras.Model:
    """Build the encoder of :func:`residual_unet`, global average pooling and a dense layer.

    Its encoder's weights have the paths that they have in the segmentation network, so that
    one can start from the other. (He et al., CVPR 2016, with instance norm.)

    Parameters
    ----------
    channels : int
        Of the input.
    classes : int
        All of them; there is no background.
    features, kernels, strides, blocks
        As :func:`medseg.networks.residual_unet.residual_unet`.
    dropout : float
        Share of the pooled features that training leaves out.

    Returns
    -------
    keras.Model
        From ``(B, I, J, K, channels)`` (``(B, I, J, channels)`` in 2-D) of any size that the
        strides divide to logits ``(B, classes)``, float32 under every policy; their softmax is
        the probability.

    Raises
    ------
    ValueError
        As :func:`medseg.networks.residual_unet.residual_unet`.
    """
    rank = checked_rank(features, kernels, strides)
    inputs = keras.Input((None,) * rank + (channels,), name="image")
    x = residual_stages(inputs, features, kernels, strides, blocks)[-1]
    x = POOLING[rank](name="pool")(x)  # (B, features[-1])
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name="head")(x)
    return keras.Model(inputs, logits, name=name)
