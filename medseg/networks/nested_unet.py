"""U-Net++: the U-Net whose skip connections are decoders of their own."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from medseg.networks.unet import checked_rank, head, model_of, plain_stages, stage, upsampled


def nested_unet(
    *,
    channels: int,
    classes: int,
    features: Sequence[int],
    kernels: Sequence[Sequence[int]],
    strides: Sequence[Sequence[int]],
    convolutions: int = 2,
    deep_supervision: bool = False,
    name: str = "nested_unet",
) -> keras.Model:
    """Build a U-Net++ (Zhou et al., DLMIA 2018) of the plain U-Net's stages.

    Node ``(i, j)`` joins all nodes before it in its row with what comes up from ``(i + 1,
    j - 1)``; column 0 is the encoder.

    Parameters
    ----------
    channels, classes, features, kernels, strides, convolutions
        As :func:`medseg.networks.unet.unet`.
    deep_supervision : bool
        Add a head to every node of the finest row, as the paper does: all outputs lie on the
        grid of the input, the deepest network first.

    Returns
    -------
    keras.Model
        As :func:`medseg.networks.unet.unet`; predictions are those of the deepest network, not
        the mean over heads.

    Raises
    ------
    ValueError
        As :func:`medseg.networks.unet.unet`.
    """
    rank = checked_rank(features, kernels, strides)
    inputs = keras.Input((None,) * rank + (channels,), name="image")
    rows = [[x] for x in plain_stages(inputs, features, kernels, strides, convolutions)]
    for column in range(1, len(features)):
        for row in range(len(features) - column):
            part, width, kernel = f"node_{row}_{column}", features[row], kernels[row]
            below = upsampled(rows[row + 1][column - 1], part, width, strides[row + 1])
            x = layers.Concatenate(name=f"{part}_join")([below, *rows[row]])
            rows[row].append(stage(x, part, width, kernel, (1,) * rank, convolutions))
    columns = range(1, len(features)) if deep_supervision else [len(features) - 1]
    outputs = [head(rows[0][column], classes, f"head_{column}") for column in reversed(columns)]
    return model_of(inputs, outputs, name)
