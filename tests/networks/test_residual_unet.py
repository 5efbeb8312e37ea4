"""The residual-encoder U-Net as any Keras user expects it, and as nnU-Net builds it."""

import keras
import numpy as np
import pytest

from medseg.errors import PlanRefused
from medseg.networks import build

FLAT = {"features": [4, 8], "kernels": [[3, 3]] * 2, "strides": [[1, 1], [2, 2]]}
SMALL = {
    "features": [4, 8, 8],
    "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "blocks": [1, 2, 1],
}


def small(**changes):
    return build("residual_unet", **({"channels": 2, "classes": 3, **SMALL} | changes))


@pytest.mark.parametrize(("arguments", "shape"), [(SMALL, (1, 4, 8, 12, 2)), (FLAT, (1, 8, 12, 2))])
def test_logits_lie_on_the_grid_of_the_input(arguments, shape):
    network = build("residual_unet", channels=2, classes=3, **arguments)
    logits = network(np.zeros(shape, np.float32))
    assert logits.shape == (*shape[:-1], 3)
    assert logits.dtype == "float32"


def test_parameters_are_those_of_nnunets_residual_network():
    # nnU-Net 2.8 plans ResidualEncoderUNet for hippocampus with 25.9 million parameters
    network = build(
        "residual_unet", channels=1, classes=3, features=[32, 64, 128, 256],
        kernels=[[3, 3, 3]] * 4, strides=[[1, 1, 1]] + [[2, 2, 2]] * 3,
    )  # fmt: skip
    assert round(network.count_params() / 1e6, 1) == 25.9


def test_a_block_begins_as_its_short_cut():
    network = small()
    image = np.random.default_rng(0).normal(size=(1, 4, 8, 12, 2)).astype(np.float32)
    block = keras.Model(
        network.input,
        [
            network.get_layer("encoder_1_0_relu").output,
            network.get_layer("encoder_1_1_relu").output,
        ],
    )
    before, after = (np.asarray(one) for one in block(image))
    np.testing.assert_allclose(after, np.where(before > 0, before, 0.01 * before), rtol=1e-6)


def test_deep_supervision_adds_heads_from_fine_to_coarse():
    network = small(
        features=[4, 4, 8, 8], kernels=[[3, 3, 3]] * 4, blocks=None, deep_supervision=True,
        strides=[[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2]],
    )  # fmt: skip
    outputs = network(np.zeros((1, 4, 8, 16, 2), np.float32))
    assert [one.shape[1:4] for one in outputs] == [(4, 8, 16), (4, 4, 8)]


def test_weights_saved_and_loaded_give_equal_logits(tmp_path):
    image = np.random.default_rng(0).normal(size=(1, 4, 8, 12, 2)).astype(np.float32)
    network, other = small(), small()
    network.save_weights(tmp_path / "x.weights.h5")
    assert not np.array_equal(network(image), other(image))
    other.load_weights(tmp_path / "x.weights.h5")
    assert np.array_equal(network(image), other(image))


def test_it_learns_from_its_first_step_on():
    network = small()
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    image, truth = np.ones((1, 4, 8, 12, 2), np.float32), np.ones((1, 4, 8, 12, 1), np.int32)
    losses = network.fit(image, truth, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_half_precision_stays_finite():
    keras.config.set_dtype_policy("mixed_bfloat16")  # TensorFlow pools float16 on GPUs only
    try:
        network = small()
    finally:
        keras.config.set_dtype_policy("float32")
    logits = network(np.full((1, 4, 8, 12, 2), 300, np.float32))
    assert logits.dtype == "float32"
    assert np.isfinite(np.asarray(logits)).all()


def test_a_wrong_number_of_blocks_is_refused():
    with pytest.raises(PlanRefused, match="blocks needs 3 entries"):
        small(blocks=[1, 2])
