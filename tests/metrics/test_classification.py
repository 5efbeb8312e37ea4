"""Scores of classes against brute force, by hand, and against simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from medseg.metrics.classification import (
    average_precision,
    balanced_accuracy,
    brier,
    confusion_table,
    delong_interval,
    expected_calibration_error,
    macro_auc,
    one_vs_rest_auc,
    operating_point,
    precision_recall,
    roc_auc,
    roc_curve,
    sensitivity_at_specificity,
)


def tied(seed: int, most: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return a truth with both classes and scores of which many are equal."""
    rng = np.random.default_rng(seed)
    many = int(rng.integers(2, most))
    truth = np.append([False, True], rng.random(many) < rng.uniform(0.1, 0.9))
    return truth, rng.integers(0, rng.integers(1, 12), truth.size) / 10


def pairs(truth: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return 1, 1/2 or 0 for each positive (rows) and negative case."""
    gap = score[truth][:, None] - score[~truth][None, :]
    return (np.sign(gap) + 1) / 2


@pytest.mark.parametrize("seed", range(100))
def test_the_area_is_the_share_of_ordered_pairs_with_ties(seed):
    truth, score = tied(seed)
    assert roc_auc(truth, score) == pytest.approx(pairs(truth, score).mean(), abs=1e-12)
    curve = roc_curve(truth, score)
    under = np.trapezoid(curve.sensitivity, curve.false_positive_rate)
    assert under == pytest.approx(roc_auc(truth, score), abs=1e-12)


def test_figures_that_scikit_learn_gives():
    # roc_auc_score, average_precision_score, brier_score_loss of scikit-learn 1.5's own manual
    truth, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    assert roc_auc(truth, score) == 0.75
    assert average_precision(truth, score) == pytest.approx(0.8333, abs=1e-4)
    curve = roc_curve(truth, score)
    assert curve.thresholds.tolist() == [math.inf, 0.8, 0.4, 0.35, 0.1]
    assert curve.false_positive_rate.tolist() == [0, 0, 0.5, 0.5, 1]
    assert curve.sensitivity.tolist() == [0, 0.5, 0.5, 1, 1]
    assert brier(np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.8, 0.3])) == pytest.approx(0.0375)


@given(st.integers(0, 2**32), st.floats(0.001, 1000), st.floats(-100, 100))
def test_the_area_sees_only_the_order_of_the_scores(seed, factor, shift):
    truth, score = tied(seed)
    area = roc_auc(truth, score)
    levels = np.unique(score, return_inverse=True)[1]
    assert roc_auc(truth, levels) == area
    assert roc_auc(truth, levels * factor + 1000 * shift) == area
    assert roc_auc(truth, -score) == pytest.approx(1 - area)
    assert roc_auc(~truth, -score) == pytest.approx(area)


@pytest.mark.parametrize("seed", range(10))
def test_the_interval_has_the_variance_of_all_pairs(seed):
    truth, score = tied(seed, 200)
    score[0] -= 1  # at least two different ones
    order = pairs(truth, score)
    area = order.mean()
    variance = order.mean(axis=1).var(ddof=1) / len(order) + order.mean(axis=0).var(ddof=1) / len(
        order.T
    )
    reach = 1.959963984540054 * math.sqrt(variance) / (area * (1 - area))
    expected = [1 / (1 + math.exp(-math.log(area / (1 - area)) + one)) for one in (reach, -reach)]
    assert delong_interval(truth, score) == pytest.approx(expected)


def test_the_interval_is_that_of_a_bootstrap():
    rng = np.random.default_rng(5)
    truth = np.arange(300) % 3 == 0
    score = rng.normal(size=300) + 1.2 * truth
    areas = []
    for _ in range(1000):
        drawn = rng.integers(0, 300, 300)
        areas.append(roc_auc(truth[drawn], score[drawn]))
    np.testing.assert_allclose(
        delong_interval(truth, score), np.quantile(areas, (0.025, 0.975)), atol=0.01
    )
    narrow, wide = delong_interval(truth, score, 0.5), delong_interval(truth, score, 0.99)
    assert wide[0] < narrow[0] < roc_auc(truth, score) < narrow[1] < wide[1]


def test_the_interval_covers_the_true_area_near_one():
    # the plain interval of DeLong covers 84 % here
    rng = np.random.default_rng(7)
    truth = np.arange(30) % 2 == 0
    true = ndtr(2 / math.sqrt(2))
    held = [
        low <= true <= high
        for low, high in (
            delong_interval(truth, rng.normal(size=30) + 2 * truth) for _ in range(400)
        )
    ]
    assert 0.92 <= np.mean(held) <= 0.99


def test_a_perfect_area_of_few_cases_is_not_certain():
    few, many = (np.arange(cases) % 2 == 0 for cases in (10, 1000))
    low, high = delong_interval(few, few * 1.0)
    assert 0.5 < low < 0.7
    assert high == 1
    assert delong_interval(few, few * -1.0) == pytest.approx((0, 1 - low), abs=0.01)
    assert delong_interval(many, many * 1.0)[0] > 0.99
    one = np.arange(10) == 3
    low, high = delong_interval(one, np.arange(10.0))
    assert 0 < low < roc_auc(one, np.arange(10.0)) < high < 1


@pytest.mark.parametrize("truth", [np.zeros(4, bool), np.ones(4, bool), np.zeros(0, bool)])
def test_without_both_classes_there_is_no_number(truth):
    score = np.linspace(0, 1, truth.size)
    assert math.isnan(roc_auc(truth, score))
    assert all(map(math.isnan, delong_interval(truth, score)))
    assert math.isnan(sensitivity_at_specificity(truth, score))
    if not truth.any():
        assert math.isnan(average_precision(truth, score))


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_is_the_sum_over_the_steps_of_recall(seed):
    truth, score = tied(seed)
    total, before = 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        called = score >= threshold
        recall = (truth & called).sum() / truth.sum()
        total += (recall - before) * (truth & called).sum() / called.sum()
        before = recall
    assert average_precision(truth, score) == pytest.approx(total, abs=1e-12)
    assert average_precision(truth, np.zeros(truth.size)) == pytest.approx(truth.mean())
    assert precision_recall(truth, score).recall[-1] == 1


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_an_operating_point_is_one_that_exists_and_none_is_better(seed, specificity):
    truth, score = tied(seed)
    point = operating_point(truth, score, specificity)
    called = score >= point.threshold
    assert point.sensitivity == pytest.approx(called[truth].mean())
    assert point.specificity == pytest.approx((~called[~truth]).mean())
    assert point.specificity >= specificity - 1e-8
    for threshold in set(score):
        other = score >= threshold
        if (~other[~truth]).mean() >= specificity:
            assert other[truth].mean() <= point.sensitivity + 1e-12


def test_a_specificity_is_met_as_a_share_of_cases_whatever_binary_fractions_say():
    truth, score = np.arange(21) == 20, np.append(np.arange(20.0), 18.5)
    assert sensitivity_at_specificity(truth, score, 0.95) == 1  # 19 of 20
    assert sensitivity_at_specificity(truth, score, 0.951) == 0


def test_every_class_counts_alike_in_the_macro_area():
    truth = np.array([0, 0, 0, 0, 1, 2])
    scores = np.eye(3)[[0, 0, 0, 1, 1, 2]]
    assert one_vs_rest_auc(truth, scores).tolist() == [0.875, 0.9, 1.0]
    assert macro_auc(truth, scores) == pytest.approx((0.875 + 0.9 + 1) / 3)
    absent = one_vs_rest_auc(truth, np.eye(4)[[0, 0, 0, 1, 1, 2]])
    assert math.isnan(absent[3])
    assert macro_auc(truth, np.eye(4)[[0, 0, 0, 1, 1, 2]]) == pytest.approx(2.775 / 3)


def test_brier_of_two_classes_is_half_of_that_of_their_sum():
    truth, sure = np.array([1, 0, 1]), np.array([0.9, 0.2, 0.4])
    assert brier(truth, sure) == pytest.approx((0.01 + 0.04 + 0.36) / 3)
    both = np.stack([1 - sure, sure], axis=1)
    assert brier(truth, both) == pytest.approx(2 * brier(truth, sure))


def test_calibration_of_the_positive_class_sees_what_confidence_does_not():
    # 0.3 with 10 % positives and 0.7 with 90 %: the confidence is 0.7, the accuracy 0.9, both
    # ways; said of the positive class the errors lie on either side
    sure = np.repeat([0.3, 0.7], 10)
    truth = np.append(np.arange(10) < 1, np.arange(10) < 9)
    assert expected_calibration_error(truth, sure) == pytest.approx(0.2)
    # 0.1 too high below 0.5 and 0.1 too high above: confidence is wrong by 0.1 each way
    truth = np.append(np.arange(10) < 2, np.arange(10) < 6)
    assert expected_calibration_error(truth, sure) == pytest.approx(0.1)
    both = np.stack([1 - sure, sure], axis=1)
    assert expected_calibration_error(truth.astype(int), both) == pytest.approx(0)


def test_accuracy_that_ignores_a_rare_class_is_no_better_than_chance():
    truth = np.array([0] * 90 + [1] * 10)
    assert balanced_accuracy(truth, np.zeros(100, int)) == 0.5
    assert balanced_accuracy(truth, truth) == 1
    assert confusion_table(truth, np.zeros(100, int), 3).tolist() == [
        [90, 0, 0], [10, 0, 0], [0, 0, 0]
    ]  # fmt: skip


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\(3,\) scores"):
        roc_auc(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="0 and 1"):
        roc_auc(np.array([1, 2]), np.zeros(2))
    with pytest.raises(ValueError, match="nan"):
        roc_auc(np.array([0, 1]), np.array([0.5, math.nan]))
    with pytest.raises(ValueError, match="the 2 that have"):
        macro_auc(np.array([0, 2]), np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="level"):
        delong_interval(np.array([0, 1]), np.array([0.5, 0.6]), 95)
    with pytest.raises(ValueError, match="specificity"):
        operating_point(np.array([0, 1]), np.array([0.5, 0.6]), 95)
    with pytest.raises(ValueError, match="the 2 there are"):
        confusion_table(np.array([0, 2]), np.array([0, 1]), 2)
