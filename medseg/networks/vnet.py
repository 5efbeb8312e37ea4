"""The V-Net: residual stages, PReLU, and a decoder as wide as what it joins."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from medseg.networks.layers import InstanceNorm
from medseg.networks.unet import (
    CONVOLUTION,
    checked_rank,
    convolution,
    head,
    initializer,
    model_of,
    upsampled,
)

CONVOLUTIONS = (1, 2, 3)  # of the finest stages (Milletari et al. 2016, figure 2); then 3


def vnet(
    *,
    channels: int,
    classes: int,
    features: Sequence[int],
    kernels: Sequence[Sequence[int]],
    strides: Sequence[Sequence[int]],
    convolutions: Sequence[int] | None = None,
    deep_supervision: bool = False,
    name: str = "vnet",
) -> keras.Model:
    """Build a V-Net (Milletari et al., 3DV 2016), with instance norm before each PReLU.

    Each stage learns a residual of its input. Grids are halved by convolutions and doubled by
    transposed ones, both with a kernel of the stride. Each stage of the decoder has twice the
    channels of the encoder's, those that come up and those of the skip connection. The paper
    has no norm, kernels of 5 and 16 features that double: with norm it trains at the
    rates of the other networks.

    Parameters
    ----------
    channels, classes, features, kernels, strides, deep_supervision
        As :func:`medseg.networks.unet.unet`.
    convolutions : sequence of int, optional
        Of each stage, in encoder and decoder; 1, 2, 3, 3, 3 ... when left out.

    Returns
    -------
    keras.Model
        As :func:`medseg.networks.unet.unet`.

    Raises
    ------
    ValueError
        As :func:`medseg.networks.unet.unet`; ``convolutions`` has not one entry a stage.
    """
    rank, stages = checked_rank(features, kernels, strides), len(features)
    if convolutions is None:
        convolutions = [CONVOLUTIONS[min(stage, 2)] for stage in range(stages)]
    if len(convolutions) != stages:
        raise ValueError(f"convolutions needs {stages} entries; received {len(convolutions)}")
    inputs = keras.Input((None,) * rank + (channels,), name="image")
    x, skips = _widened(inputs, features[0]), []
    for number, (width, kernel, stride) in enumerate(zip(features, kernels, strides, strict=True)):
        part = f"encoder_{number}"
        if number:
            x = _downsampled(x, part, width, stride)
        x = _residual(x, part, width, kernel, convolutions[number])
        skips.append(x)
    outputs = []
    for number in reversed(range(stages - 1)):
        part, width, kernel = f"decoder_{number}", features[number], kernels[number]
        x = _activated(upsampled(x, part, width, strides[number + 1]), f"{part}_up")
        x = layers.Concatenate(name=f"{part}_join")([x, skips[number]])
        x = _residual(x, part, 2 * width, kernel, convolutions[number])
        if number == 0 or (deep_supervision and number < stages - 2):
            outputs.append(head(x, classes, f"head_{number}"))
    return model_of(inputs, outputs[::-1], name)


def _widened(image, width: int):
    """Bring the image to the channels of the first stage, which adds to it."""
    return CONVOLUTION[len(image.shape) - 2](
        width, 1, kernel_initializer=initializer(), name="encoder_0_project"
    )(image)


def _residual(x, part: str, width: int, kernel, convolutions: int):
    """Convolve a few times and add the input before the last activation."""
    short = x
    for number in range(convolutions):
        x = convolution(x, f"{part}_{number}", width, kernel, (1,) * len(kernel))
        x = InstanceNorm(name=f"{part}_{number}_norm")(x)
        if number == convolutions - 1:
            x = layers.Add(name=f"{part}_add")([x, short])
        x = _prelu(x, f"{part}_{number}")
    return x


def _downsampled(x, part: str, width: int, stride):
    """Convolve with a kernel of the stride, which needs no padding, to the grid below."""
    x = CONVOLUTION[len(stride)](
        width, tuple(stride), strides=tuple(stride), kernel_initializer=initializer(),
        name=f"{part}_down",
    )(x)  # fmt: skip
    return _activated(x, f"{part}_down")


def _activated(x, part: str):
    return _prelu(InstanceNorm(name=f"{part}_norm")(x), part)


def _prelu(x, part: str):
    """Rectify with a learned slope a channel."""
    spatial = list(range(1, len(x.shape) - 1))
    return layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25), shared_axes=spatial,
                        name=f"{part}_prelu")(x)  # fmt: skip
