"""What holds for every network."""

import json

import keras
import numpy as np
import pytest

from medseg.labels import Label, LabelSet
from medseg.losses import loss
from medseg.models import Card, write_package
from medseg.models.card import Dataset
from medseg.models.weights import assign, network_of, weights_of
from medseg.networks import NETWORKS
from medseg.networks.loading import dtype_policy
from medseg.plan import Channel, Network, Plan
from tests.networks.factory import (
    ALL,
    CLASSES,
    CLASSIFYING,
    SEGMENTING,
    SIZES,
    image_of,
    make_network,
    network,
)

every = pytest.mark.parametrize("case", ALL)
segmenting = pytest.mark.parametrize("case", SEGMENTING)


def test_no_network_is_left_out():
    assert {name for name, _, _ in ALL.values()} == set(NETWORKS)


@every
def test_logits_are_float32_and_lie_on_the_grid_of_the_input(case):
    image = image_of(case, 2)
    logits = network(case)(image)
    assert logits.shape == ((2, CLASSES) if case in CLASSIFYING else (*image.shape[:-1], CLASSES))
    assert logits.dtype == "float32"
    assert network(case).compute_output_shape(image.shape) == logits.shape


def policies_of(case):
    """Return the half precisions that a network computes in here."""
    pools = any("pool" in layer.name for layer in network(case).layers)
    if pools and not keras.distribution.list_devices("gpu"):
        return ("mixed_bfloat16",)  # on a CPU TensorFlow cannot pool float16
    return "mixed_bfloat16", "mixed_float16"


@every
def test_half_precision_is_near_and_float32_at_the_end(case):
    exact = network(case)(image_of(case))
    for policy in policies_of(case):
        with dtype_policy(policy):
            half = make_network(case)
        half.set_weights(network(case).get_weights())
        near = half(image_of(case))
        assert near.dtype == "float32"
        assert half.compute_dtype == policy.removeprefix("mixed_")
        assert np.abs(near - exact).mean() < 0.15 * np.std(exact)


@every
def test_layers_have_names_of_their_own_in_every_build(case):
    one, other = make_network(case), make_network(case)
    names = [layer.name for layer in one.layers]
    assert names == [layer.name for layer in other.layers]
    paths = [variable.path for variable in one.weights]
    assert paths == [variable.path for variable in other.weights]
    assert len(set(paths)) == len(paths)


@every
def test_it_is_made_of_layers_and_none_is_a_lambda(case):
    model = network(case)
    assert all(isinstance(part, keras.layers.Layer) for part in model.operations)
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in model.layers)
    again = keras.Model.from_config(json.loads(json.dumps(model.get_config())))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(image_of(case)), model(image_of(case)))


@every
def test_weights_by_their_paths_are_the_whole_network(case):
    other = make_network(case)
    assert not np.array_equal(other(image_of(case)), network(case)(image_of(case)))
    assign(other, weights_of(network(case)))
    np.testing.assert_array_equal(other(image_of(case)), network(case)(image_of(case)))


@every
def test_a_step_down_the_gradient_lowers_the_loss_and_moves_every_weight(case):
    import tensorflow as tf

    model, image = make_network(case), image_of(case, 2)
    rng, cost = np.random.default_rng(2), loss("cross_entropy")
    assign(model, weights_of(network(case)))  # gammas of 0 hide what lies before them
    shape = (2, 1) if case in CLASSIFYING else image.shape
    truth = rng.integers(0, CLASSES, shape)
    with tf.GradientTape() as tape:
        before = cost(truth, model(image, training=True))
    weights = model.trainable_variables
    gradients = tape.gradient(before, [weight.value for weight in weights])
    still = [weight.path for weight, gradient in zip(weights, gradients, strict=True)
             if gradient is None or not np.isfinite(gradient).all()]  # fmt: skip
    assert not still
    length = np.sqrt(sum(float(np.sum(np.square(gradient))) for gradient in gradients))
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.assign(weight - 0.01 / length * gradient)
    assert float(cost(truth, model(image, training=True))) < float(before)


@segmenting
def test_deep_supervision_adds_outputs_and_leaves_the_first(case):
    model = make_network(case, deep_supervision=True)
    trained = {variable.path: variable for variable in model.weights}
    plain = network(case)
    for variable in plain.weights:
        trained[variable.path].assign(variable)
    first, *others = model(image_of(case))
    assert others
    np.testing.assert_allclose(first, plain(image_of(case)), atol=1e-5)
    assert all(one.shape[-1] == CLASSES and one.dtype == "float32" for one in others)
    assert weights_of(model).keys() == weights_of(plain).keys()
    sizes = [np.prod(one.shape) for one in (first, *others)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    "case", [case for case in ALL if case.replace("2-D", "3-D") not in ALL or "3-D" in case]
)
def test_openvino_computes_what_keras_does(case, tmp_path):
    # The way of medseg.inference.engines, which tests packages; classifiers are none yet.
    import tensorflow as tf

    from medseg.inference.engines.openvino_engine import quiet_openvino

    openvino, model, image = quiet_openvino(), network(case), image_of(case)
    archive = keras.export.ExportArchive()
    archive.track(model)
    tile = tf.TensorSpec(image.shape, tf.float32)
    archive.add_endpoint("logits", lambda tiles: model(tiles, training=False), [tile])
    archive.write_out(tmp_path, verbose=False)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(openvino.convert_model(tmp_path), "CPU", settings)
    expected = np.asarray(model(image))
    assert np.abs(compiled([image])[0] - expected).max() < 1e-4 * np.abs(expected).max()


@segmenting
def test_a_package_gives_the_network_back(case, tmp_path):
    name, rank, arguments = SEGMENTING[case]
    plan = Plan(
        spacing=(1, 1, 1),
        channels=(Channel(name="T1"),),
        patch=(1,) * (3 - rank) + SIZES[rank],
        network=Network(name=name, arguments=arguments),
        labels=LabelSet((Label(1, "One"), Label(2, "Two"))),
    )
    data = Dataset(name="Made up", licence="CC0-1.0", attribution="Nobody")
    package = write_package(
        tmp_path / "model", name="small", version="1", plan=plan,
        card=Card(intended_use="For tests.", modality="MR", training_data=(data,)),
        weights=weights_of(network(case)),
    )  # fmt: skip
    kept, again = make_network(case), network_of(package)
    assign(kept, {path: array.astype(np.float16).astype(np.float32)
                  for path, array in weights_of(network(case)).items()})  # fmt: skip
    np.testing.assert_array_equal(again(image_of(case)), kept(image_of(case)))
