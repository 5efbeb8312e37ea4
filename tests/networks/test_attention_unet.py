"""Attention gates as their paper has them."""

import keras
import numpy as np

from tests.networks.factory import image_of, make_network


def test_a_closed_gate_lets_nothing_of_the_skip_connection_through():
    model = make_network("attention_unet 2-D")
    closing = model.get_layer("decoder_0_gate_weight")
    closing.kernel.assign(np.zeros(closing.kernel.shape))
    gate = keras.Model(model.input, [model.get_layer("decoder_0_gate").output,
                                     model.get_layer("encoder_0_1_relu").output])  # fmt: skip
    for bias, opened in ((-100.0, 0.0), (0.0, 0.5), (100.0, 1.0)):
        closing.bias.assign([bias])
        gated, skip = (np.asarray(one) for one in gate(image_of("attention_unet 2-D")))
        np.testing.assert_allclose(gated, opened * skip, atol=1e-6)


def test_without_its_gates_it_is_the_plain_network():
    plain = {variable.path for variable in make_network("unet 3-D").variables}
    gated = {variable.path for variable in make_network("attention_unet 3-D").variables}
    assert plain <= gated
    assert all("_gate_" in path for path in gated - plain)
