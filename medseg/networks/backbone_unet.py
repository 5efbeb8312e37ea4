"""A 2-D U-Net whose encoder comes from ``keras.applications``, with weights from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from medseg.errors import PlanRefused
from medseg.networks.layers import AsPhotograph
from medseg.networks.unet import checked_rank, decoded, model_of, stage


@dataclass(frozen=True, slots=True)
class Backbone:
    """An encoder of ``keras.applications``.

    Attributes
    ----------
    builder : str
        Its function's name.
    mode : str
        Of its ``preprocess_input``, see :class:`medseg.networks.layers.AsPhotograph`.
    taps : tuple of str
        Layers whose outputs lie on grids halved 1, 2, 3, 4 and 5 times: the last of each.
    """

    builder: str
    mode: str
    taps: tuple[str, ...]

    def build(self, image: Any = None) -> keras.Model:
        """Return it with random weights, reading ``image`` where one is given."""
        shape = (None, None, 3) if image is None else None
        more = {"include_preprocessing": False} if self.builder.startswith("EfficientNet") else {}
        return getattr(keras.applications, self.builder)(
            include_top=False, weights=None, input_tensor=image, input_shape=shape, **more
        )


# Not those that leave layers without a name of their own, such as DenseNet: paths of weights
# would change from build to build.
BACKBONES = {
    "efficientnet_v2_b0": Backbone(
        "EfficientNetV2B0", "torch",
        ("block1a_project_activation", "block2b_add", "block4a_expand_activation",
         "block6a_expand_activation", "top_activation"),
    ),
    "mobilenet_v2": Backbone(
        "MobileNetV2", "tf",
        ("block_1_expand_relu", "block_3_expand_relu", "block_6_expand_relu",
         "block_13_expand_relu", "out_relu"),
    ),
    "resnet50": Backbone(
        "ResNet50", "caffe",
        ("conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out",
         "conv5_block3_out"),
    ),
}  # fmt: skip


def backbone_unet(
    *,
    channels: int,
    classes: int,
    features: Sequence[int],
    kernels: Sequence[Sequence[int]],
    strides: Sequence[Sequence[int]],
    backbone: str = "resnet50",
    convolutions: int = 2,
    deep_supervision: bool = False,
    name: str = "backbone_unet",
) -> keras.Model:
    """Build a 2-D U-Net on an encoder that photographs may have trained.

    The finest stage, which such encoders lack, is a stage of the plain U-Net; so is the
    decoder. The encoder keeps its batch norm. Its weights are random: see
    :func:`load_encoder`.

    Parameters
    ----------
    channels : int
        1, which is repeated, or 3; normalised to mean 0 and deviation 1.
    classes, convolutions, deep_supervision
        As :func:`medseg.networks.unet.unet`.
    features, kernels : sequences
        Of each decoder stage, finest first, and of the encoder's finest. The last entries stand
        for the encoder's last stage and change nothing. Up to 6 stages; with fewer the encoder
        is cut.
    strides : sequence of two numbers a stage
        Ones, then twos: what the encoder does.
    backbone : str
        A name in ``BACKBONES``.

    Returns
    -------
    keras.Model
        As :func:`medseg.networks.unet.unet`.

    Raises
    ------
    ValueError
        As :func:`medseg.networks.unet.unet`; there is no such backbone, or the encoder has not
        these channels, stages or strides.
    """
    if checked_rank(features, kernels, strides) != 2:
        raise ValueError("the encoders of keras.applications are 2-D; received 3 axes")
    if backbone not in BACKBONES:
        raise ValueError(f"backbone must be one of {sorted(BACKBONES)}; received {backbone!r}")
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3; received {channels}")
    chosen = BACKBONES[backbone]
    if len(features) > len(chosen.taps) + 1 or any(list(axes) != [2, 2] for axes in strides[1:]):
        raise ValueError(
            f"{backbone} has {len(chosen.taps) + 1} stages at most, each but the first of stride "
            f"2; received strides {[list(axes) for axes in strides]}"
        )
    inputs = keras.Input((None, None, channels), name="image")
    encoder = chosen.build(AsPhotograph(chosen.mode, name="photograph")(inputs))
    finest = stage(inputs, "encoder_0", features[0], kernels[0], (1, 1), convolutions)
    taps = [encoder.get_layer(tap).output for tap in chosen.taps[: len(features) - 1]]
    outputs = decoded(
        [finest, *taps], features, kernels, strides, classes, convolutions, deep_supervision
    )
    return model_of(inputs, outputs, name)


def load_encoder(model: keras.Model, backbone: str, path: str | Path) -> None:
    """Give the encoder of a :func:`backbone_unet` the weights in a local file.

    Nothing is downloaded and nothing in the file is executed.

    Parameters
    ----------
    model : keras.Model
    backbone : str
        That it was built with.
    path : str or Path
        HDF5 of ``keras.applications`` without the top (``..._notop.h5``), or what
        ``save_weights`` wrote of that model (``.weights.h5``).

    Raises
    ------
    PlanRefused
        ``encoder-weights-missing``: no such file. ``encoder-weights-differ``: it does not hold
        the weights of this encoder.
    """
    if not Path(path).is_file():
        raise PlanRefused(
            "encoder-weights-missing", "The file of the encoder's weights does not exist",
            do=f"Put the weights of {BACKBONES[backbone].builder} without its top there; "
               "medseg downloads nothing",
        )  # fmt: skip
    source = BACKBONES[backbone].build()
    try:
        source.load_weights(path)
    except Exception as error:  # Keras and h5py raise whatever they meet
        raise PlanRefused(
            "encoder-weights-differ",
            f"The file does not hold the weights of {BACKBONES[backbone].builder} without its "
            f"top: {type(error).__name__}",
        ) from error
    wanted = {variable.path: variable for variable in model.variables}
    for variable in source.variables:
        if variable.path in wanted:  # else the encoder is cut above it
            wanted[variable.path].assign(variable)
