"""Losses against numbers computed by hand."""

import keras
import numpy as np
import pytest

from medseg.errors import PlanRefused
from medseg.losses import loss

TRUTH = np.array([0, 1, 1, 2], np.int32).reshape(1, 4, 1)


def logits(*classes, sure=20.0):
    out = np.zeros((1, 4, 3), np.float32)
    out[0, range(4), classes] = sure
    return out


def test_a_perfect_prediction_costs_nothing():
    for name in ("dice", "dice_cross_entropy"):
        assert float(loss(name)(TRUTH, logits(0, 1, 1, 2))) == pytest.approx(0, abs=1e-4)


def test_dice_is_the_mean_over_foreground_classes():
    # class 1: one of two found, Dice 2/3; class 2 found: 1. Loss 1 - 5/6.
    assert float(loss("dice")(TRUTH, logits(0, 1, 0, 2))) == pytest.approx(1 / 6, abs=1e-4)


def test_cross_entropy_is_added_over_all_voxels():
    uniform = np.zeros((1, 4, 3), np.float32)
    # class 1: 2 * (2/3) / (2 + 4/3) = 0.4; class 2: 2 * (1/3) / (1 + 4/3) = 2/7
    dice = 1 - (0.4 + 2 / 7) / 2
    found = float(loss("dice_cross_entropy")(TRUTH, uniform))
    assert found == pytest.approx(dice + np.log(3), abs=1e-4)


def test_a_class_absent_from_truth_and_prediction_costs_nothing():
    truth = np.zeros((1, 4, 1), np.int32)
    assert float(loss("dice")(truth, logits(0, 0, 0, 0, sure=200.0))) == pytest.approx(0, abs=1e-3)


def test_gradients_are_finite_for_extreme_logits():
    import tensorflow as tf

    extreme = tf.constant(logits(2, 0, 2, 1, sure=3e4))
    with tf.GradientTape() as tape:
        tape.watch(extreme)
        value = loss("dice_cross_entropy")(TRUTH, extreme)
    assert np.isfinite(tape.gradient(value, extreme)).all()


def test_losses_survive_serialisation():
    original = loss("dice_cross_entropy")
    again = keras.losses.deserialize(keras.losses.serialize(original))
    assert float(again(TRUTH, logits(0, 1, 0, 2))) == float(original(TRUTH, logits(0, 1, 0, 2)))


def test_an_unknown_loss_is_refused():
    with pytest.raises(PlanRefused, match="no loss 'hinge'"):
        loss("hinge")
