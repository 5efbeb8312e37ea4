"""What holds for every loss."""

import keras
import numpy as np
import pytest

from medseg.errors import PlanRefused
from medseg.losses import LOSSES, loss
from tests.losses.factory import CLASSES, REGIONS, graded, make_pair

OVERLAP = {"name": "sum", "of": [{"name": "dice"}, {"name": "boundary", "weight": 0.1}]}
TOLD = [OVERLAP if name == "sum" else {"name": name} for name in LOSSES]
every = pytest.mark.parametrize("told", TOLD, ids=list(LOSSES))
kinds = pytest.mark.parametrize("kind", [CLASSES, REGIONS])


@every
@kinds
def test_what_is_ignored_does_not_count(told, kind):
    truth, logits = make_pair(kind, ignored=0.3)
    other = np.where((truth == -1).any(axis=-1, keepdims=True), -logits + 7, logits)
    value, gradient = graded(loss(**told), truth, logits)
    assert value == pytest.approx(float(loss(**told)(truth, other)), rel=1e-5)
    assert not gradient[(truth == -1).any(axis=-1)].any()
    assert gradient.any()


@every
@kinds
@pytest.mark.parametrize("number", [0, 1, -1], ids=["empty", "full", "ignored"])
@pytest.mark.parametrize("sure", [0.0, 3e4, -3e4])
def test_value_and_gradient_are_finite_on_one_class_alone(told, kind, number, sure):
    truth, logits = make_pair(kind, (1, 4, 4))
    logits[..., 0] = sure
    value, gradient = graded(loss(**told), np.full_like(truth, number), logits.astype(np.float32))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    if number == -1:
        assert value == pytest.approx(0, abs=1e-4)
        assert not gradient.any()


@every
@kinds
def test_half_precision_logits_give_the_loss_of_full_ones(told, kind):
    truth, logits = make_pair(kind)
    half = logits.astype(np.float16)
    wide = float(loss(**told)(truth, half.astype(np.float32)))
    assert float(np.mean(loss(**told).call(truth, half))) == pytest.approx(wide, rel=1e-5)


@every
@kinds
def test_truth_costs_less_than_doubt_and_doubt_less_than_error(told, kind):
    truth, logits = make_pair(kind, (2, 12, 12), seed=1)
    right = 20.0 * (truth == np.arange(3) if kind == CLASSES else truth) - 10
    one = loss(**told)
    assert float(one(truth, right)) < float(one(truth, 0 * logits)) < float(one(truth, -right))


@every
def test_it_survives_serialisation(told):
    truth, logits = make_pair()
    original = loss(**told)
    again = keras.losses.deserialize(keras.losses.serialize(original))
    assert again.get_config() == original.get_config()
    assert float(again(truth, logits)) == float(original(truth, logits))


@every
def test_a_plane_works_as_a_volume_does(told):
    truth, logits = make_pair(shape=(2, 8, 8))
    assert np.isfinite(float(loss(**told)(truth, logits)))


@every
def test_it_compiles_for_a_model_of_unknown_size(told):
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(3, 1)])
    model.compile("sgd", loss(**told))
    truth, logits = make_pair(shape=(2, 6, 6))
    assert np.isfinite(model.train_on_batch(logits[..., :1].astype(np.float32), truth))


@every
def test_truth_that_fits_neither_way_is_refused(told):
    truth, logits = make_pair(REGIONS, channels=4)
    with pytest.raises(ValueError, match="truth has 4 channels and logits have 3"):
        loss(**told)(truth, logits[..., :3])


def test_an_unknown_loss_is_refused():
    with pytest.raises(PlanRefused, match="no loss 'hinge'"):
        loss("hinge")


@pytest.mark.parametrize(
    "told",
    [
        {"name": "dice", "smoth": 1},
        {"name": "focal", "gamma": -1},
        {"name": "top_k_cross_entropy", "share": 0},
        {"name": "tversky", "alpha": -0.1},
        {"name": "focal_tversky", "gamma": 0},
        {"name": "boundary", "radius": 0},
        {"name": "cldice", "iterations": 0},
        {"name": "sum", "of": []},
    ],
)
def test_arguments_that_do_not_fit_are_refused(told):
    with pytest.raises(PlanRefused) as refusal:
        loss(**told)
    assert refusal.value.code == "loss-invalid"
