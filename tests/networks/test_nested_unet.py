"""U-Net++ as its paper draws it."""

import numpy as np

from tests.networks.factory import image_of, make_network, network


def test_each_node_joins_all_before_it_and_what_comes_up():
    model = network("nested_unet 2-D")
    for row, column in [(0, 1), (0, 3), (1, 2), (2, 1)]:
        join = model.get_layer(f"node_{row}_{column}_join")
        # encoder and decoder rows alike have the features of their stage: 4, 4, 6, 8
        assert join.output.shape[-1] == (column + 1) * [4, 4, 6, 8][row]


def test_every_supervised_network_lies_on_the_finest_grid_the_deepest_first():
    model = make_network("nested_unet 3-D", deep_supervision=True)
    assert model.output_names == ["head_3", "head_2", "head_1"]
    image = image_of("nested_unet 3-D")
    assert {one.shape for one in model(np.asarray(image))} == {(*image.shape[:-1], 3)}
