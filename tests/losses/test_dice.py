"""Losses against numbers computed by hand."""

import numpy as np
import pytest

from medseg.losses import loss
from tests.losses.factory import CLASSES, REGIONS, make_pair, plain

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


@pytest.mark.parametrize("kind", [CLASSES, REGIONS])
@pytest.mark.parametrize("batch", [False, True])
def test_dice_agrees_with_loops_over_samples_and_classes(kind, batch):
    truth, logits = make_pair(kind, ignored=0.2)
    hot, probability, known = plain(truth, logits)
    scores = []
    for sample in [slice(None)] if batch else range(len(hot)):
        for channel in range(1 if kind == CLASSES else 0, 3):
            t, p = ((a * known)[sample, ..., channel] for a in (hot, probability))
            scores.append(2 * (t * p).sum() / (t.sum() + p.sum()))
    found = float(loss("dice", batch=batch)(truth, logits))
    assert found == pytest.approx(1 - np.mean(scores), abs=1e-5)


@pytest.mark.parametrize("kind", [CLASSES, REGIONS])
def test_each_known_voxel_has_the_same_weight_in_the_cross_entropy(kind):
    truth, logits = make_pair(kind)
    truth[0, 1:] = -1  # the first sample has few voxels, the second all
    hot, p, known = plain(truth, logits)
    if kind == CLASSES:
        entropy = -np.log(p[hot == 1])
    else:
        entropy = -np.log(np.where(hot == 1, p, 1 - p))[known]
    dice = float(loss("dice")(truth, logits))
    found = float(loss("dice_cross_entropy")(truth, logits))
    assert found == pytest.approx(dice + entropy.mean(), rel=1e-5)


@pytest.mark.parametrize("batch", [False, True])
def test_generalized_dice_agrees_with_its_formula(batch):
    truth, logits = make_pair(seed=3)
    truth[truth == 2] = np.where(np.arange((truth == 2).sum()) % 5, 0, 2)  # a rare class
    hot, p, _ = plain(truth, logits)
    if batch:
        hot, p = hot.reshape(1, -1, 3), p.reshape(1, -1, 3)
    scores = []
    for t, q in zip(hot, p, strict=True):
        weight = 1 / t.sum(axis=0) ** 2
        scores.append(2 * (weight * (t * q).sum(0)).sum() / (weight * (t + q).sum(axis=(0))).sum())
    found = float(loss("generalized_dice", batch=batch)(truth, logits))
    assert found == pytest.approx(1 - np.mean(scores), abs=1e-5)


def test_generalized_dice_weighs_an_absent_class_like_the_smallest_that_is_there():
    truth = np.array([0, 0, 0, 1], np.int32).reshape(1, 4, 1)  # class 2 is absent
    found = float(loss("generalized_dice")(truth, np.zeros((1, 4, 3))))
    # weights 1/9, 1, 1; shared 1, 1/3, 0; truth and prediction 3 + 4/3, 1 + 4/3, 4/3
    above, below = 2 * (1 / 9 + 1 / 3), (13 / 3) / 9 + 7 / 3 + 4 / 3
    assert found == pytest.approx(1 - above / below, abs=1e-5)
