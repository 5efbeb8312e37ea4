"""Encoders of keras.applications: what they are given, and weights from files."""

import keras
import numpy as np
import pytest

from medseg.errors import PlanRefused
from medseg.networks import build
from medseg.networks.backbone_unet import BACKBONES, load_encoder
from medseg.networks.layers import AsPhotograph

SMALL = {
    "channels": 1,
    "classes": 2,
    "features": [4, 4, 4],
    "kernels": [[3, 3]] * 3,
    "strides": [[1, 1], [2, 2], [2, 2]],
    "backbone": "mobilenet_v2",
}
PREPROCESS = {
    "torch": keras.applications.densenet.preprocess_input,
    "tf": keras.applications.mobilenet_v2.preprocess_input,
    "caffe": keras.applications.resnet50.preprocess_input,
}


@pytest.mark.parametrize("mode", PREPROCESS)
def test_a_scan_comes_in_as_a_photograph_preprocessed_by_keras_would(mode):
    # A photograph brought to mean 0 and deviation 1 by ImageNet's numbers is what we are given.
    photograph = np.random.default_rng(0).uniform(0, 255, (1, 4, 5, 3)).astype(np.float32)
    scan = (photograph / 255 - AsPhotograph.MEAN) / AsPhotograph.DEVIATION
    found = np.asarray(AsPhotograph(mode)(scan.astype(np.float32)))
    expected = PREPROCESS[mode](photograph.copy())
    # Caffe's mean of ImageNet is half a grey value beside that of torch
    np.testing.assert_allclose(found, expected, atol=0.51 if mode == "caffe" else 1e-4)


def test_one_channel_is_repeated():
    image = np.random.default_rng(0).normal(size=(1, 4, 5, 1)).astype(np.float32)
    found = np.asarray(AsPhotograph("torch")(image))
    np.testing.assert_array_equal(found, np.repeat(image, 3, axis=-1))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_each_encoder_halves_the_grid_from_tap_to_tap(backbone):
    chosen = BACKBONES[backbone]
    encoder = chosen.build()
    taps = keras.Model(encoder.input, [encoder.get_layer(tap).output for tap in chosen.taps])
    shapes = taps.compute_output_shape((1, 96, 160, 3))
    assert [shape[1:3] for shape in shapes] == [(48, 80), (24, 40), (12, 20), (6, 10), (3, 5)]


def test_weights_of_a_file_reach_the_encoder_and_nothing_else(tmp_path):
    source = keras.applications.MobileNetV2(include_top=False, weights=None)
    source.save_weights(tmp_path / "encoder.weights.h5")
    model = build("backbone_unet", **SMALL)
    before = {variable.path: np.asarray(variable) for variable in model.weights}
    load_encoder(model, SMALL, tmp_path / "encoder.weights.h5")
    given = {variable.path: np.asarray(variable) for variable in source.weights}
    for variable in model.weights:
        expected = given.get(variable.path, before[variable.path])
        np.testing.assert_array_equal(np.asarray(variable), expected, err_msg=variable.path)
    assert len(given.keys() & before.keys()) > 20


def test_a_missing_file_is_refused_and_nothing_is_downloaded(tmp_path):
    with pytest.raises(PlanRefused) as refusal:
        load_encoder(build("backbone_unet", **SMALL), SMALL, tmp_path / "none.h5")
    assert refusal.value.code == "encoder-weights-missing"


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_of_another_encoder_are_refused(tmp_path):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(
        tmp_path / "other.weights.h5"
    )
    (tmp_path / "broken.weights.h5").write_bytes(b"no HDF5")
    for name in ("other", "broken"):
        with pytest.raises(PlanRefused) as refusal:
            load_encoder(build("backbone_unet", **SMALL), SMALL,
                         tmp_path / f"{name}.weights.h5")  # fmt: skip
        assert refusal.value.code == "encoder-weights-differ"
        assert str(tmp_path) not in str(refusal.value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"channels": 2}, "channels must be 1 or 3"),
        ({"backbone": "resnet18"}, "backbone must be one of"),
        ({"strides": [[1, 1], [2, 2], [1, 2]]}, "of stride 2"),
        ({"kernels": [[3, 3, 3]] * 3, "strides": [[1] * 3, [2] * 3, [2] * 3]}, "are 2-D"),
        ({"features": [4] * 7, "kernels": [[3, 3]] * 7, "strides": [[1, 1]] + [[2, 2]] * 6},
         "6 stages at most"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_refused(wrong, words):
    with pytest.raises(PlanRefused, match=words):
        build("backbone_unet", **(SMALL | wrong))
