"""The residual-encoder U-Net as any Keras user expects it, and as nnU-Net builds it."""

import keras
import numpy as np
import pytest

from medseg.errors import PlanRefused
from medseg.networks import build

SMALL = {
    "features": [4, 8, 8],
    "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "blocks": [1, 2, 1],
}


def small(**changes):
    return build("residual_unet", **({"channels": 2, "classes": 3, **SMALL} | changes))


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


def test_a_wrong_number_of_blocks_is_refused():
    with pytest.raises(PlanRefused, match="blocks needs 3 entries"):
        small(blocks=[1, 2])
