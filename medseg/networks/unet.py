"""The plain U-Net in two and three dimensions, as nnU-Net builds it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
from keras import layers

from medseg.networks.layers import InstanceNorm

SLOPE = 0.01  # of the leaky ReLU below zero
CONVOLUTION = {2: layers.Conv2D, 3: layers.Conv3D}
TRANSPOSED = {2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}
PADDING = {2: layers.ZeroPadding2D, 3: layers.ZeroPadding3D}


def unet(
    *,
    channels: int,
    classes: int,
    features: Sequence[int],
    kernels: Sequence[Sequence[int]],
    strides: Sequence[Sequence[int]],
    convolutions: int = 2,
    deep_supervision: bool = False,
    name: str = "unet",
) -> keras.Model:
    """Build a U-Net of strided convolutions, instance norm and leaky ReLU.

    The encoder halves by strided convolutions, the decoder doubles by transposed ones whose
    kernel is the stride, and joins ``[upsampled, skip]`` (Ronneberger et al., MICCAI 2015;
    Isensee et al., Nature Methods 2021).

    Parameters
    ----------
    channels, classes : int
        Of input and output; classes count background.
    features : sequence of int
        Channels of each stage, finest first.
    kernels, strides : sequences of sequences of int
        Of each stage and each spatial axis: two numbers a stage make a 2-D network, three a
        3-D one. Kernels are odd; the first stride is all ones.
    convolutions : int
        In each stage of encoder and decoder.
    deep_supervision : bool
        Add a head to every decoder stage but the coarsest, for training; four stages and more
        have such.

    Returns
    -------
    keras.Model
        From ``(B, I, J, K, channels)`` (``(B, I, J, channels)`` in 2-D) to logits of the same
        grid with ``classes`` channels, float32 under every policy; with deep supervision a
        list of them, finest first. Each spatial size must be a multiple of the product of
        the strides of its axis.

    Raises
    ------
    ValueError
        Numbers of stages or axes differ, a kernel is even, or the first stride is not ones.
    """
    rank = checked_rank(features, kernels, strides)
    inputs = keras.Input((None,) * rank + (channels,), name="image")
    skips = plain_stages(inputs, features, kernels, strides, convolutions)
    outputs = decoded(skips, features, kernels, strides, classes, convolutions, deep_supervision)
    return model_of(inputs, outputs, name)


def plain_stages(inputs, features, kernels, strides, convolutions: int) -> list:
    """Return the output of each stage of the plain encoder, finest first."""
    x, stages = inputs, []
    for number, (width, kernel, stride) in enumerate(zip(features, kernels, strides, strict=True)):
        x = stage(x, f"encoder_{number}", width, kernel, stride, convolutions)
        stages.append(x)
    return stages


def decoded(
    skips,
    features,
    kernels,
    strides,
    classes: int,
    convolutions: int,
    deep_supervision: bool,
    gate: Callable | None = None,
) -> list:
    """Return the heads of a U-Net's decoder, finest first, from the stages of its encoder.

    ``gate(skip, x, part)`` weighs a skip connection by what comes up from below.
    """
    x, outputs = skips[-1], []
    for number in reversed(range(len(features) - 1)):
        part, width, kernel = f"decoder_{number}", features[number], kernels[number]
        x = upsampled(x, part, width, strides[number + 1])
        skip = skips[number] if gate is None else gate(skips[number], x, part)
        x = layers.Concatenate(name=f"{part}_join")([x, skip])
        x = stage(x, part, width, kernel, (1,) * len(kernel), convolutions)
        if number == 0 or (deep_supervision and number < len(features) - 2):
            outputs.append(head(x, classes, f"head_{number}"))
    return outputs[::-1]


def model_of(inputs, outputs: list, name: str) -> keras.Model:
    """Return the model of one output or, with deep supervision, of a list of them."""
    return keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name=name)


def checked_rank(features, kernels, strides) -> int:
    """Return 2 or 3, the number of spatial axes, after checking that the lists agree."""
    if not 2 <= len(features) == len(kernels) == len(strides):
        raise ValueError(
            f"features, kernels and strides need one entry a stage and two stages at least; "
            f"received {len(features)}, {len(kernels)} and {len(strides)}"
        )
    ranks = {len(axes) for axes in (*kernels, *strides)}
    if ranks not in ({2}, {3}):
        raise ValueError(f"every kernel and stride needs 2 or 3 numbers; received {sorted(ranks)}")
    if any(size % 2 == 0 for kernel in kernels for size in kernel):
        raise ValueError(f"kernels must be odd; received {list(kernels)}")
    if any(step != 1 for step in strides[0]):
        raise ValueError(f"the first stage keeps the grid; received stride {list(strides[0])}")
    return ranks.pop()


def stage(x, part: str, width: int, kernel, stride, convolutions: int):
    """Convolve, normalise and activate a few times; the first convolution takes the stride."""
    for number in range(convolutions):
        x = convolution(x, f"{part}_{number}", width, kernel, stride)
        x = InstanceNorm(name=f"{part}_{number}_norm")(x)
        x = layers.LeakyReLU(SLOPE, name=f"{part}_{number}_relu")(x)
        stride = (1,) * len(kernel)
    return x


def upsampled(x, part: str, width: int, stride):
    """Bring to the grid above by a transposed convolution whose kernel is the stride."""
    stride = tuple(stride)
    return TRANSPOSED[len(stride)](
        width, stride, strides=stride, kernel_initializer=initializer(), name=f"{part}_up"
    )(x)


def convolution(x, part: str, width: int, kernel, stride):
    """Convolve on a grid padded by half the kernel on both sides, as torch does.

    Keras' "same" pads only the far side of an even grid when it strides, which moves the
    result by half a voxel.
    """
    rank, padding = len(kernel), "same"
    if max(stride) > 1:
        x = PADDING[rank](tuple(size // 2 for size in kernel), name=f"{part}_pad")(x)
        padding = "valid"
    return CONVOLUTION[rank](
        width,
        tuple(kernel),
        strides=tuple(stride),
        padding=padding,
        kernel_initializer=initializer(),
        name=f"{part}_conv",
    )(x)


def head(x, classes: int, part: str):
    """Map to one logit a class; float32 under every policy, since a loss follows."""
    return CONVOLUTION[len(x.shape) - 2](
        classes, 1, kernel_initializer=initializer(), dtype="float32", name=part
    )(x)


def initializer() -> keras.Initializer:
    """He's normal for a leaky ReLU (He et al., ICCV 2015, eq. 15)."""
    return keras.initializers.VarianceScaling(
        scale=2 / (1 + math.pow(SLOPE, 2)), mode="fan_in", distribution="untruncated_normal"
    )
