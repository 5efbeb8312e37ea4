"""Classifiers of whole images."""

import pytest

from medseg.errors import PlanRefused
from medseg.networks import build
from tests.networks.factory import DEEP, FLAT, make_network


def test_the_textbook_network_has_the_layers_of_the_textbook():
    model = build("textbook_cnn", channels=1, classes=2)
    assert [type(layer).__name__ for layer in model.layers[1:]] == [
        "Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dense",
    ]  # fmt: skip
    # 28 x 28: 3*3*1*32 + 32, 3*3*32*64 + 64, 7*7*64*128 + 128, 128*2 + 2
    assert model.count_params() == 320 + 18496 + 401536 + 258


@pytest.mark.parametrize("arguments", [FLAT, DEEP])
def test_its_encoder_has_the_weights_of_the_segmentation_network(arguments):
    one = build("residual_classifier", channels=1, classes=2, **arguments)
    other = build("residual_unet", channels=1, classes=2, **arguments)
    shapes = {variable.path: variable.shape for variable in other.variables}
    own = {variable.path: variable.shape for variable in one.variables}
    assert own.keys() - shapes.keys() == {"head/kernel", "head/bias"} - shapes.keys()
    assert all(shapes[path] == own[path] for path in own if not path.startswith("head/"))


def test_dropout_leaves_the_weights_as_they_are():
    plain = make_network("residual_classifier 2-D")
    dropping = make_network("residual_classifier 2-D", dropout=0.5)
    assert [one.path for one in plain.weights] == [one.path for one in dropping.weights]


@pytest.mark.parametrize(
    ("size", "words"), [((28,), "size needs 2 or 3 numbers"), ((28, 3), "need 4 voxels an axis")]
)
def test_sizes_that_do_not_fit_are_refused(size, words):
    with pytest.raises(PlanRefused, match=words):
        build("textbook_cnn", channels=1, classes=2, size=size)
