"""Calibration worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from medseg.metrics import calibration, foreground_band
from medseg.metrics.calibration import fit_isotonic, fit_temperature, reliability


def test_a_model_that_is_right_as_often_as_it_says_has_no_calibration_error():
    truth = np.array([1] * 9 + [0])
    found = calibration(np.stack([np.full(10, 0.1), np.full(10, 0.9)]), truth)
    assert found.ece == pytest.approx(0)
    assert found.brier == pytest.approx((9 * 2 * 0.01 + 2 * 0.81) / 10)
    assert found.nll == pytest.approx(-(9 * math.log(0.9) + math.log(0.1)) / 10)


def test_the_curve_holds_confidence_and_accuracy_of_each_bin():
    sure = np.array([0.55, 0.65, 0.95, 1.0])
    found = calibration(np.stack([1 - sure, sure]), np.array([1, 0, 1, 0]), bins=10)
    assert found.voxels.tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0, 2]  # 1.0 is in the last bin
    np.testing.assert_allclose(found.confidence[[5, 6, 9]], [0.55, 0.65, 0.975])
    np.testing.assert_allclose(found.accuracy[[5, 6, 9]], [1, 0, 0.5])
    assert np.isnan(found.confidence[0])
    assert found.ece == pytest.approx((0.45 + 0.65 + 2 * 0.475) / 4)


def test_certainty_of_a_wrong_class_costs_a_finite_amount():
    found = calibration(np.array([[1.0], [0.0]]), np.array([1]))
    assert found.nll == pytest.approx(16.118, abs=1e-3)  # of 1e-7
    assert found.brier == 2


def test_only_the_voxels_asked_for_count():
    probabilities = np.array([[0.9, 0.2], [0.1, 0.8]])
    found = calibration(probabilities, np.array([1, 1]), np.array([False, True]))
    assert found.ece == pytest.approx(0.2)
    nothing = calibration(probabilities, np.array([1, 1]), np.array([False, False]))
    assert math.isnan(nothing.ece)
    assert nothing.voxels.sum() == 0


def test_shapes_and_classes_that_do_not_fit_are_refused():
    probabilities = np.full((2, 3), 0.5)
    with pytest.raises(ValueError, match=r"\(2, 3\) probabilities"):
        calibration(probabilities, np.zeros(4, int))
    with pytest.raises(ValueError, match="the 2 that have"):
        calibration(probabilities, np.array([0, 1, 2]))


def test_the_band_reaches_as_far_in_mm_along_every_axis_and_no_further():
    truth, predicted = np.zeros((2, 30, 30, 30), np.uint8)
    truth[15, 15, 15], predicted[15, 15, 16] = 2, 1
    band = foreground_band(truth, predicted, (1, 2, 4), margin_mm=5)
    assert [np.flatnonzero(band.any(axis=axes)).tolist() for axes in ((1, 2), (0, 2), (0, 1))] == [
        [*range(10, 21)], [*range(13, 18)], [*range(14, 18)]
    ]  # fmt: skip
    assert not foreground_band(truth * 0, predicted * 0, (1, 2, 4)).any()


def test_the_band_ends_at_the_edge_of_the_image():
    truth = np.zeros((4, 5, 6), bool)
    truth[0, 4, 3] = True
    assert foreground_band(truth, truth, (1, 1, 1), margin_mm=20).all()


def loss(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.take_along_axis(log_softmax(logits, axis=1), labels[:, None], axis=1).mean())


@given(st.integers(0, 2**32), st.floats(0.1, 8))
def test_no_other_temperature_fits_better(seed, scale):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 60)
    logits = scale * (rng.normal(size=(60, 4)) + np.eye(4)[labels])
    best = fit_temperature(logits, labels)
    for other in (0.9 * best, 1.1 * best, 0.05, 1.0, 20.0):
        if 0.05 <= other <= 20:
            assert loss(logits / best, labels) <= loss(logits / other, labels) + 1e-9


def test_a_temperature_undoes_the_factor_that_made_a_model_too_sure():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)) * 1.5
    labels = (softmax(logits, axis=1).cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.1)
    assert fit_temperature(3 * logits + 100, labels) == pytest.approx(3, rel=0.1)
    two = rng.random(4000) < 1 / (1 + np.exp(-logits[:, 0]))
    assert fit_temperature(3 * logits[:, 0], two) == pytest.approx(3, rel=0.1)


def test_a_temperature_stays_within_bounds_where_none_is_best():
    logits = np.array([[5.0, 0.0], [0.0, 5.0]])
    assert fit_temperature(logits, np.array([0, 1])) == 0.05
    assert fit_temperature(logits, np.array([1, 0])) == 20


def pooled(values: list[float]) -> list[float]:
    """Return the closest rising values: each the largest over starts of the least mean to ends."""
    many = len(values)
    return [
        max(min(np.mean(values[start : end + 1]) for end in range(n, many))
            for start in range(n + 1))
        for n in range(many)
    ]  # fmt: skip


@given(st.lists(st.booleans(), min_size=1, max_size=25))
def test_the_isotonic_fit_is_the_closest_rising_one(right):
    sure = np.linspace(0.1, 0.9, len(right))
    mended = fit_isotonic(sure, np.array(right))(sure)
    np.testing.assert_allclose(mended, pooled(right), atol=1e-12)


def test_an_isotonic_fit_pools_equal_probabilities_and_is_level_beyond_the_ends():
    mend = fit_isotonic(np.array([0.2, 0.2, 0.2, 0.2, 0.8]), np.array([1, 0, 0, 0, 1]))
    np.testing.assert_allclose(mend(np.array([0.0, 0.2, 0.5, 1.0])), [0.25, 0.25, 0.625, 1])


def test_an_isotonic_fit_mends_a_model_that_is_too_sure():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(6000, 3)) * 1.5
    labels = (softmax(logits, axis=1).cumsum(axis=1) < rng.random((6000, 1))).sum(axis=1)
    sure = softmax(4 * logits, axis=1)
    mended = fit_isotonic(sure[:3000], labels[:3000])(sure[3000:])
    np.testing.assert_allclose(mended.sum(axis=1), 1)
    before, after = (calibration(one.T, labels[3000:]).ece for one in (sure[3000:], mended))
    assert before > 0.2
    assert after < 0.05


def test_classes_that_all_become_impossible_keep_their_probabilities():
    mend = fit_isotonic(np.array([[0.6, 0.4], [0.4, 0.6]]), np.array([0, 1]))
    assert mend(np.array([[0.4, 0.4]])).tolist() == [[0.4, 0.4]]


def test_fits_refuse_what_does_not_fit():
    for fit in (fit_temperature, fit_isotonic):
        with pytest.raises(ValueError, match="values for labels"):
            fit(np.zeros((0, 2)), np.zeros(0, int))
        with pytest.raises(ValueError, match="the 2 classes"):
            fit(np.zeros((2, 2)), np.array([0, 2]))
        with pytest.raises(ValueError, match=r"nan|finite"):
            fit(np.full((2, 2), np.nan), np.array([0, 1]))


def test_nothing_to_look_at_has_no_calibration_error():
    found = reliability(np.zeros(0), np.zeros(0, bool))
    assert math.isnan(found.ece)
    assert found.number.sum() == 0
