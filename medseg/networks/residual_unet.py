"""The U-Net with a residual encoder, as nnU-Net's presets M, L and XL build it."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from medseg.networks.layers import InstanceNorm
from medseg.networks.unet import (
    CONVOLUTION,
    SLOPE,
    checked_rank,
    convolution,
    decoded,
    initializer,
    model_of,
)

BLOCKS = (1, 3, 4, 6)  # of the finest encoder stages; all that follow have 6
POOLING = {2: layers.AveragePooling2D, 3: layers.AveragePooling3D}


def residual_unet(
    *,
    channels: int,
    classes: int,
    features: Sequence[int],
    kernels: Sequence[Sequence[int]],
    strides: Sequence[Sequence[int]],
    blocks: Sequence[int] | None = None,
    deep_supervision: bool = False,
    name: str = "residual_unet",
) -> keras.Model:
    """Build a U-Net whose encoder is a residual network, with one convolution a decoder stage.

    A stem, then blocks of two convolutions around a short cut, which is average-pooled where
    the block strides and projected where it widens (He et al., CVPR 2016, as the D variant of
    He et al., CVPR 2019; nnU-Net's ``ResidualEncoderUNet``, Isensee et al., MICCAI 2024). Each
    block begins as the identity.

    Parameters
    ----------
    channels, classes, features, kernels, strides, deep_supervision
        As :func:`medseg.networks.unet.unet`.
    blocks : sequence of int, optional
        Of each encoder stage; nnU-Net's 1, 3, 4, 6, 6 ... when left out.

    Returns
    -------
    keras.Model
        As :func:`medseg.networks.unet.unet`.

    Raises
    ------
    ValueError
        Numbers of stages or axes differ, a kernel is even, or the first stride is not ones.
    """
    rank = checked_rank(features, kernels, strides)
    inputs = keras.Input((None,) * rank + (channels,), name="image")
    skips = residual_stages(inputs, features, kernels, strides, blocks)
    outputs = decoded(skips, features, kernels, strides, classes, 1, deep_supervision)
    return model_of(inputs, outputs, name)


def residual_stages(inputs, features, kernels, strides, blocks: Sequence[int] | None) -> list:
    """Return the output of each stage of the residual encoder, finest first."""
    rank = len(kernels[0])
    if blocks is None:
        blocks = [BLOCKS[min(stage, len(BLOCKS) - 1)] for stage in range(len(features))]
    if len(blocks) != len(features):
        raise ValueError(f"blocks needs {len(features)} entries; received {len(blocks)}")
    x = _normed(convolution(inputs, "stem", features[0], kernels[0], (1,) * rank), "stem")
    x, stages = layers.LeakyReLU(SLOPE, name="stem_relu")(x), []
    for stage, (width, kernel) in enumerate(zip(features, kernels, strict=True)):
        for number in range(blocks[stage]):
            stride = tuple(strides[stage]) if number == 0 else (1,) * rank
            x = _block(x, f"encoder_{stage}_{number}", width, kernel, stride)
        stages.append(x)
    return stages


def _block(x, part: str, width: int, kernel, stride):
    """Add two convolutions to their input, brought to their grid and width."""
    short = x
    if max(stride) > 1:
        short = POOLING[len(stride)](stride, name=f"{part}_pool")(short)
    if x.shape[-1] != width:
        short = CONVOLUTION[len(stride)](
            width, 1, use_bias=False, kernel_initializer=initializer(), name=f"{part}_project"
        )(short)
        short = _normed(short, f"{part}_project")
    x = _normed(convolution(x, f"{part}_a", width, kernel, stride), f"{part}_a")
    x = layers.LeakyReLU(SLOPE, name=f"{part}_a_relu")(x)
    x = convolution(x, f"{part}_b", width, kernel, (1,) * len(stride))
    x = InstanceNorm("zeros", name=f"{part}_b_norm")(x)
    x = layers.Add(name=f"{part}_add")([x, short])
    return layers.LeakyReLU(SLOPE, name=f"{part}_relu")(x)


def _normed(x, part: str):
    return InstanceNorm(name=f"{part}_norm")(x)
