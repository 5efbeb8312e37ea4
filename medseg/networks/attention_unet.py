"""The U-Net whose skip connections are weighed by attention."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from medseg.networks.unet import (
    CONVOLUTION,
    checked_rank,
    decoded,
    initializer,
    model_of,
    plain_stages,
)


def attention_unet(
    *,
    channels: int,
    classes: int,
    features: Sequence[int],
    kernels: Sequence[Sequence[int]],
    strides: Sequence[Sequence[int]],
    convolutions: int = 2,
    deep_supervision: bool = False,
    name: str = "attention_unet",
) -> keras.Model:
    """Build the plain U-Net with an attention gate on each skip connection.

    Additive attention (Oktay et al., MIDL 2018), here with the gating signal already brought to
    the grid of the skip connection, so that no weight has to be interpolated. All else is
    :func:`medseg.networks.unet.unet`, so that the two can be compared.

    Parameters
    ----------
    channels, classes, features, kernels, strides, convolutions, deep_supervision
        As :func:`medseg.networks.unet.unet`.

    Returns
    -------
    keras.Model
        As :func:`medseg.networks.unet.unet`.

    Raises
    ------
    ValueError
        As :func:`medseg.networks.unet.unet`.
    """
    rank = checked_rank(features, kernels, strides)
    inputs = keras.Input((None,) * rank + (channels,), name="image")
    skips = plain_stages(inputs, features, kernels, strides, convolutions)
    outputs = decoded(
        skips, features, kernels, strides, classes, convolutions, deep_supervision, _gated
    )
    return model_of(inputs, outputs, name)


def _gated(skip, gate, part: str):
    """Multiply each voxel of a skip connection by how much the decoder looks for it, 0 to 1."""
    between = max(1, skip.shape[-1] // 2)
    wanted = layers.Add(name=f"{part}_gate_add")(
        [
            _pointwise(skip, between, f"{part}_gate_skip", use_bias=False),
            _pointwise(gate, between, f"{part}_gate_signal"),
        ]
    )
    wanted = layers.ReLU(name=f"{part}_gate_relu")(wanted)
    weight = _pointwise(wanted, 1, f"{part}_gate_weight", activation="sigmoid")  # (B, ..., 1)
    return layers.Multiply(name=f"{part}_gate")([skip, weight])


def _pointwise(x, width: int, part: str, **more):
    return CONVOLUTION[len(x.shape) - 2](
        width, 1, kernel_initializer=initializer(), name=part, **more
    )(x)
