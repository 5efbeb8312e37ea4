"""Calibration worked out by hand."""

import math

import numpy as np
import pytest

from medseg.metrics import calibration, foreground_band


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
