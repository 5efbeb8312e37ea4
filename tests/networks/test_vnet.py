"""The V-Net as its paper draws it."""

import keras
import numpy as np
import pytest

from medseg.errors import PlanRefused
from medseg.networks import build
from tests.networks.factory import image_of, make_network

PAPER = {
    "features": [16, 32, 64, 128, 256],
    "kernels": [[5, 5, 5]] * 5,
    "strides": [[1, 1, 1]] + [[2, 2, 2]] * 4,
}


def test_convolutions_are_those_of_the_paper():
    model = build("vnet", channels=1, classes=2, **PAPER)
    # figure 2: left 16 to 256 channels with 1, 2, 3, 3, 3 convolutions, right 256 to 32 with
    # 3, 3, 2, 1; 16 512 (of the smallest left stage) = 5^3 * 16 * 16 + 16 and so on
    widths = {"encoder": [16, 32, 64, 128, 256], "decoder": [32, 64, 128, 256]}
    for side, all_widths in widths.items():
        for stage, width in enumerate(all_widths):
            found = [
                layer
                for layer in model.layers
                if layer.name.startswith(f"{side}_{stage}_") and layer.name.endswith("_conv")
            ]
            assert len(found) == min(stage + 1, 3)
            assert {layer.kernel.shape for layer in found} == {(5, 5, 5, width, width)}


def test_a_stage_learns_a_residual_of_its_input():
    model = make_network("vnet 3-D")
    for variable in model.variables:
        if "encoder_1_1_norm" in variable.path:
            variable.assign(np.zeros(variable.shape))
    ends = keras.Model(model.input, [model.get_layer("encoder_1_down_prelu").output,
                                     model.get_layer("encoder_1_1_prelu").output])  # fmt: skip
    before, after = (np.asarray(one) for one in ends(image_of("vnet 3-D")))
    np.testing.assert_allclose(after, np.where(before > 0, before, 0.25 * before), atol=1e-6)


def test_a_wrong_number_of_convolutions_is_refused():
    with pytest.raises(PlanRefused, match="convolutions needs 5 entries"):
        build("vnet", channels=1, classes=2, **PAPER, convolutions=[1, 2])
