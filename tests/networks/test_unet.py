"""The U-Net as any Keras user expects it, and as nnU-Net builds it."""

import keras
import numpy as np
import pytest

from medseg.errors import PlanRefused
from medseg.networks import build
from medseg.networks.layers import InstanceNorm

FLAT = {"features": [4, 8], "kernels": [[3, 3]] * 2, "strides": [[1, 1], [2, 2]]}
SMALL = {
    "features": [4, 8, 16],
    "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
}


def small(**changes):
    return build("unet", **({"channels": 2, "classes": 3, **SMALL} | changes))


def test_deep_supervision_adds_heads_from_fine_to_coarse():
    network = small(
        features=[4, 4, 8, 8],
        kernels=[[3, 3, 3]] * 4,
        strides=[[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2]],
        deep_supervision=True,
    )
    outputs = network.predict(np.zeros((1, 4, 8, 16, 2), np.float32), verbose=0)
    assert [one.shape[1:4] for one in outputs] == [(4, 8, 16), (4, 4, 8)]


def test_parameters_are_those_of_nnunets_plain_network():
    # PlainConvUNet of 5 stages, 32-64-128-256-320, 2 classes: 16 546 690 without side heads.
    network = build(
        "unet", channels=1, classes=2, features=[32, 64, 128, 256, 320],
        kernels=[[3, 3, 3]] * 5, strides=[[1, 1, 1]] + [[2, 2, 2]] * 4,
    )  # fmt: skip
    assert network.count_params() == 16_546_690


def test_weights_have_the_same_paths_in_every_build():
    paths = [variable.path for variable in small().variables]
    assert paths == [variable.path for variable in small().variables]
    assert len(set(paths)) == len(paths)
    assert paths[0] == "encoder_0_0_conv/kernel"


def test_it_fits_and_summarises_as_any_keras_model():
    network = small()
    network.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    image, truth = np.ones((2, 4, 8, 12, 2), np.float32), np.ones((2, 4, 8, 12, 1), np.int32)
    losses = network.fit(image, truth, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    lines = []
    network.summary(print_fn=lines.append)
    assert "encoder_0_0_norm" in "\n".join(map(str, lines))


def test_strided_convolutions_pad_both_sides():
    # With Keras' own "same" a mirrored image gives another result than the mirrored result.
    network = build("unet", channels=1, classes=2, **FLAT)
    for variable in network.variables:
        if variable.path.endswith("kernel"):
            variable.assign(np.full(variable.shape, 0.1, np.float32))
    image = np.random.default_rng(0).normal(size=(1, 7 * 2, 1 * 2, 1)).astype(np.float32)
    pad = network.get_layer("encoder_1_0_pad")
    assert pad.padding == ((1, 1), (1, 1))
    assert network.get_layer("encoder_1_0_conv").padding == "valid"
    assert np.isfinite(network.predict(image, verbose=0)).all()


def test_instance_norm_normalises_each_channel_of_each_sample():
    rng = np.random.default_rng(0)
    array = rng.normal(5, 3, size=(2, 4, 5, 6, 3)).astype(np.float32)
    out = np.asarray(InstanceNorm()(array))
    np.testing.assert_allclose(out.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(axis=(1, 2, 3)), 1, atol=1e-4)


def test_instance_norm_in_half_precision_is_close_to_that_in_full():
    array = np.random.default_rng(0).normal(300, 20, size=(1, 6, 6, 6, 4)).astype(np.float32)
    full = np.asarray(InstanceNorm()(array))
    half = np.asarray(InstanceNorm(dtype="mixed_float16")(array.astype(np.float16)), np.float32)
    assert np.abs(full - half).max() < 0.05  # 300 squared, summed, would overflow float16


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kernels": [[3, 3, 3]] * 2}, "one entry a stage"),
        ({"kernels": [[2, 3, 3]] * 3}, "kernels must be odd"),
        ({"strides": [[2, 2, 2]] * 3}, "first stage keeps the grid"),
        ({"strides": [[1, 1]] + [[2, 2]] * 2}, "2 or 3 numbers"),
        ({"depth": 5}, "unexpected keyword"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(wrong, words):
    with pytest.raises(PlanRefused, match=words):
        small(**wrong)


def test_an_unknown_network_is_refused_with_the_names_there_are():
    with pytest.raises(PlanRefused, match=r"no network 'wnet'.*unet"):
        build("wnet")
