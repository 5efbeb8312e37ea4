"""Overlap against numbers computed by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from medseg.metrics import (
    EMPTY_POLICIES,
    confusion,
    counted,
    dice,
    iou,
    precision,
    sensitivity,
    specificity,
    volume_error,
)

label_maps = arrays.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 4))


def test_dice_of_overlapping_blocks_is_their_shared_part():
    truth, predicted = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    truth[:2], predicted[1:3] = True, True  # 32 voxels each, 16 shared
    assert dice(truth, predicted) == pytest.approx(0.5)


def test_dice_of_a_miss_is_zero_and_of_two_empty_masks_is_nan():
    empty, full = np.zeros((2, 2, 2), bool), np.ones((2, 2, 2), bool)
    assert dice(full, empty) == dice(empty, full) == 0
    assert math.isnan(dice(empty, empty))


def test_dice_refuses_label_maps_and_other_grids():
    with pytest.raises(TypeError, match="must be bool"):
        dice(np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(ValueError, match="different grids"):
        dice(np.zeros((2, 2, 2), bool), np.zeros((2, 2, 3), bool))


def test_every_ratio_follows_from_the_counts():
    truth, predicted = np.zeros(20, bool), np.zeros(20, bool)
    truth[:8], predicted[6:10] = True, True  # 2 shared, 6 missed, 2 too many, 10 rightly left out
    assert iou(truth, predicted) == pytest.approx(2 / 10)
    assert sensitivity(truth, predicted) == pytest.approx(2 / 8)
    assert precision(truth, predicted) == pytest.approx(2 / 4)
    assert specificity(truth, predicted) == pytest.approx(10 / 12)
    assert volume_error(truth, predicted) == pytest.approx(-4 / 8)


def test_a_ratio_of_nothing_is_nan():
    empty, full = np.zeros(3, bool), np.ones(3, bool)
    assert math.isnan(sensitivity(empty, full))
    assert math.isnan(precision(full, empty))
    assert math.isnan(specificity(full, full))
    assert math.isnan(volume_error(empty, full))


@pytest.mark.parametrize(
    ("policy", "both", "one"),
    [("medseg", math.nan, 0), ("perfect", 1, 0), ("infinite", math.nan, 0),
     ("ignored", math.nan, math.nan)],
)  # fmt: skip
def test_the_empty_policy_decides_dice_and_iou_of_empty_masks(policy, both, one):
    empty, full = np.zeros(3, bool), np.ones(3, bool)
    for score in (dice, iou):
        found = [score(*pair, empty=EMPTY_POLICIES[policy])
                 for pair in ((empty, empty), (full, empty), (empty, full))]  # fmt: skip
        np.testing.assert_equal(found, [both, one, one])


def test_confusion_counts_each_pair_of_values_once():
    truth = np.array([[0, 1, 1, 7], [3, 3, 0, 9]])
    predicted = np.array([[0, 1, 3, 7], [3, 0, 1, 3]])
    assert confusion(truth, predicted, [3, 1]).tolist() == [
        [2, 1, 1],  # what is not listed (0, 7, 9): twice right, once called 3, once 1
        [1, 1, 0],
        [0, 1, 1],
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_confusion_is_one_for_all_types_and_memory_orders(dtype):
    rng = np.random.default_rng(3)
    truth, predicted = rng.integers(0, 6, (2, 50, 40, 35)).astype(dtype)
    expected = [[np.count_nonzero((truth == a) & (predicted == b)) for b in range(6)]
                for a in range(6)]  # fmt: skip
    for order in "CF":
        pair = (np.asarray(one, order=order) for one in (truth, predicted))
        assert confusion(*pair, [1, 2, 3, 4, 5]).tolist() == expected
    mixed = confusion(np.asfortranarray(truth), np.ascontiguousarray(predicted), [1, 2, 3, 4, 5])
    assert mixed.tolist() == expected


def test_confusion_holds_label_values_up_to_65535():
    truth = np.array([0, 300, 65535, 65535])
    assert confusion(truth, truth, [300, 65535]).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 2]]
    with pytest.raises(ValueError, match="run from 0 to 65536"):
        confusion(truth, np.array([0, 300, 65535, 65536]), [300])
    with pytest.raises(ValueError, match="run from -1 to 300"):
        confusion(truth, np.array([0, 300, -1, 0]), [300])


def test_label_maps_of_fractions_are_refused():
    with pytest.raises(TypeError, match="whole numbers"):
        confusion(np.zeros(3), np.zeros(3), [1])


def test_more_voxels_than_one_chunk_are_all_counted(monkeypatch):
    monkeypatch.setattr("medseg.metrics.overlap.CHUNK", 4)
    truth = np.array([0, 0, 0, 0, 0, 1, 1, 2, 2, 2], np.uint8)  # a chunk of background first
    assert confusion(truth, truth, [1, 2]).tolist() == [[5, 0, 0], [0, 2, 0], [0, 0, 3]]


@settings(deadline=None, max_examples=40)
@given(label_maps, label_maps)
def test_counts_of_labels_and_regions_are_those_of_their_masks(truth, predicted):
    groups = [(1,), (3,), (2, 4), (1, 2, 3, 4)]
    counts = counted(truth, predicted, groups)
    for n, group in enumerate(groups):
        ours, theirs = np.isin(truth, group), np.isin(predicted, group)
        assert counts.shared[n] == np.count_nonzero(ours & theirs)
        np.testing.assert_equal(counts.dice[n], dice(ours, theirs))
        np.testing.assert_equal(counts.iou[n], iou(ours, theirs))
        np.testing.assert_equal(counts.specificity[n], specificity(ours, theirs))


@settings(deadline=None, max_examples=40)
@given(label_maps, label_maps)
def test_counts_do_not_depend_on_the_names_of_labels(truth, predicted):
    names = np.array([0, 40, 7, 255, 3], np.uint8)
    plain = counted(truth, predicted, [(1,), (2, 3), (4,)])
    renamed = counted(names[truth], names[predicted], [(40,), (7, 255), (3,)])
    np.testing.assert_array_equal(plain.dice, renamed.dice)
