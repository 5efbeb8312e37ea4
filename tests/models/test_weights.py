import numpy as np
import pytest

from medseg.errors import ModelRefused, PlanRefused
from medseg.plan import Network


@pytest.fixture(scope="module")
def network(plan):
    from medseg import networks

    return networks.build("unet", channels=1, classes=3, **plan.network.arguments)


@pytest.fixture
def learned(network):
    from medseg.models.weights import weights_of

    return weights_of(network)


def test_the_network_of_a_package_computes_what_was_packed(packed, network, learned):
    from medseg.models.weights import network_of

    # halves on both sides: then the way through float16 is exact
    halves = {path: array.astype(np.float16) for path, array in learned.items()}
    for variable in network.weights:
        variable.assign(halves[variable.path])
    again = network_of(packed(weights=halves))
    image = np.random.default_rng(0).normal(size=(1, 8, 8, 8, 1))
    np.testing.assert_array_equal(network(image), again(image))


def test_coarse_heads_of_deep_supervision_are_left_out(plan, packed):
    from medseg import networks
    from medseg.models.weights import network_of, weights_of

    deeper = {name: [*values, *values[1:] * 2] for name, values in plan.network.arguments.items()}
    one = networks.build("unet", channels=1, classes=3, **deeper)
    many = networks.build("unet", channels=1, classes=3, **deeper, deep_supervision=True)
    assert len(many.outputs) == 2
    assert weights_of(many).keys() == weights_of(one).keys()
    trained = plan.model_copy(
        update={"network": Network(name="unet", arguments={**deeper, "deep_supervision": True})}
    )
    assert len(network_of(packed(plan=trained, weights=weights_of(many))).outputs) == 1


def test_the_global_policy_stays_as_it_was(packed, learned):
    import keras

    from medseg.models.weights import network_of

    model = network_of(packed(weights=learned), policy="mixed_bfloat16")
    assert model.get_layer("encoder_0_0_conv").compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("head_0/bias"), "lack head_0/bias"),
        (lambda w: w.update(extra=np.zeros(1)), "unknown array, extra"),
        (lambda w: w.update({"head_0/bias": np.zeros(4)}), "(4,) in place of (3,)"),
    ],
)
def test_weights_of_another_network_are_refused(packed, learned, change, words):
    from medseg.models.weights import network_of

    change(learned)
    with pytest.raises(ModelRefused) as refusal:
        network_of(packed(weights=learned))
    assert refusal.value.code == "weights-differ"
    assert words in refusal.value.found
    assert "another network" in refusal.value.do


def test_no_weight_is_set_when_one_does_not_fit(network, learned):
    from medseg.models.weights import assign, weights_of

    wrong = {path: array + 1 for path, array in learned.items()}
    wrong["head_0/bias"] = np.array([0, np.nan, 0])
    with pytest.raises(ModelRefused) as refusal:
        assign(network, wrong)
    assert refusal.value.code == "weights-not-finite"
    for path, array in weights_of(network).items():
        np.testing.assert_array_equal(array, learned[path])


def test_a_network_that_does_not_exist_is_refused(packed, plan, learned):
    from medseg.models.weights import network_of

    foreign = plan.model_copy(update={"network": Network(name="os.system")})
    with pytest.raises(PlanRefused) as refusal:
        network_of(packed(plan=foreign, weights=learned))
    assert refusal.value.code == "network-unknown"
