"""Lesions, their matches and detection scores, counted by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from medseg.metrics import LesionRule, detect, froc, lesions_of
from tests.metrics.solids import block

SHAPE = (20, 20, 20)


def line(*spans):
    """A row of 40 pixels with lesions from one place to another."""
    mask = np.zeros((1, 40), bool)
    for start, stop in spans:
        mask[0, start:stop] = True
    return mask


def test_neighbours_decide_what_is_one_lesion():
    mask = np.zeros((3, 3, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 0] = mask[2, 2, 1] = True  # touch along an edge, then at a corner
    assert [len(lesions_of(mask, neighbours=n)) for n in (6, 18, 26)] == [3, 2, 1]
    assert [len(lesions_of(mask[:, :, 0], neighbours=n)) for n in (4, 8)] == [2, 1]
    assert len(lesions_of(mask)) == 1
    with pytest.raises(ValueError, match="8 neighbours in 3 axes"):
        lesions_of(mask, neighbours=8)


def test_lesions_have_sizes_boxes_and_numbers_in_order():
    mask = block(SHAPE, (1, 1, 1), (2, 2, 2)) | block(SHAPE, (9, 0, 4), (1, 3, 5))
    found = lesions_of(mask)
    assert found.voxels.tolist() == [8, 15]
    assert found.boxes[1] == (slice(9, 10), slice(0, 3), slice(4, 9))
    assert found.array[1, 1, 1] == 1


def test_small_lesions_are_left_out_and_the_rest_numbered_again():
    found = lesions_of(line((0, 1), (5, 9), (12, 14)), smallest_voxels=2)
    assert found.voxels.tolist() == [4, 2]
    assert found.array.max() == 2
    assert found.array[0, 0] == 0


def test_matches_misses_and_false_positives_give_every_score():
    truth, predicted = line((0, 4), (10, 14), (20, 24)), line((1, 5), (10, 14), (30, 34), (36, 38))
    found = detect(truth, predicted, (1, 2))
    assert found.matches.tolist() == [[1, 1], [0, 0]]  # from the largest overlap down
    assert (found.matched, found.missed, found.false_positives) == (2, 1, 2)
    assert found.sensitivity == pytest.approx(2 / 3)
    assert found.precision == pytest.approx(2 / 4)
    assert found.f1 == pytest.approx(2 * 2 / (3 + 4))
    assert sorted(found.ious) == pytest.approx([3 / 5, 1])
    assert sorted(found.dices) == pytest.approx([6 / 8, 1])
    assert found.segmentation_quality == pytest.approx(0.8)
    assert found.panoptic_quality == pytest.approx(0.8 * found.f1)
    assert found.lesion_dice == pytest.approx(1.75 / 5)
    assert found.truth_ml.tolist() == [0.008, 0.008, 0.008]
    assert found.predicted_boxes[3] == (slice(0, 1), slice(36, 38))


def test_a_lesion_is_matched_once_only():
    truth, predicted = line((0, 10)), line((0, 6), (7, 10))  # one lesion broken in two
    found = detect(truth, predicted, (1, 1))
    assert found.matches.tolist() == [[0, 0]]
    assert found.hits.tolist() == [[0, 0], [0, 1]]
    assert (found.false_positives, found.missed) == (1, 0)


def test_greedy_takes_the_best_pair_and_optimal_the_best_sum():
    truth, predicted = line((0, 6), (7, 17)), line((2, 13), (14, 17))
    # ious: 4 / 13 and 6 / 15 with the first predicted lesion; the second true one with the
    # second predicted, 3 / 10
    greedy = detect(truth, predicted, (1, 1))
    assert greedy.matches.tolist() == [[1, 0]]
    optimal = detect(truth, predicted, (1, 1), LesionRule(assign="optimal"))
    assert sorted(optimal.matches.tolist()) == [[0, 0], [1, 1]]


def test_the_threshold_counts_overlap_as_the_rule_says():
    truth, predicted = line((0, 10)), line((8, 30))  # 2 of 30 shared, 2 of 10 of the truth
    for rule, matched in (
        (LesionRule(threshold=2 / 30), 1),
        (LesionRule(threshold=0.1), 0),
        (LesionRule(threshold=0.2, overlap="cover"), 1),
        (LesionRule(threshold=0.21, overlap="cover"), 0),
        (LesionRule(threshold=0.0), 1),
    ):
        assert detect(truth, predicted, (1, 1), rule).matched == matched


def test_lesions_below_a_volume_count_on_neither_side():
    truth, predicted = line((0, 4), (8, 9)), line((0, 4), (20, 21))
    found = detect(truth, predicted, (1, 1), LesionRule(smallest_ml=0.002))
    assert (found.matched, found.missed, found.false_positives) == (1, 0, 0)


def test_without_lesions_scores_are_nan_and_counts_are_none():
    empty, full = line(), line((0, 4))
    both = detect(empty, empty, (1, 1))
    assert math.isnan(both.f1)
    assert math.isnan(both.sensitivity)
    assert math.isnan(both.lesion_dice)
    miss, alarm = detect(full, empty, (1, 1)), detect(empty, full, (1, 1))
    assert (miss.missed, miss.f1, miss.sensitivity, miss.panoptic_quality) == (1, 0, 0, 0)
    assert math.isnan(miss.precision)
    assert (alarm.false_positives, alarm.f1, alarm.precision) == (1, 0, 0)
    assert math.isnan(alarm.segmentation_quality)


blobs = arrays.arrays(bool, (6, 7, 5))


@settings(deadline=None, max_examples=40)
@given(blobs, blobs, st.sampled_from(["greedy", "optimal"]))
def test_above_half_iou_both_rules_agree_and_counts_add_up(truth, predicted, assign):
    rule = LesionRule(neighbours=6, threshold=0.5 + 1e-9, assign=assign)
    found = detect(truth, predicted, (1, 1, 1), rule)
    assert {tuple(pair) for pair in found.matches.tolist()} == {
        tuple(pair) for pair in found.hits.tolist()
    }
    structure = ndimage.generate_binary_structure(3, 1)
    assert found.matched + found.missed == ndimage.label(truth, structure)[1]
    assert found.matched + found.false_positives == ndimage.label(predicted, structure)[1]


def test_froc_follows_the_scores_of_hits_and_false_positives():
    truth = line((0, 4), (10, 14))
    predicted = line((0, 4), (10, 12), (13, 14), (20, 24), (30, 34))
    probability = np.zeros(truth.shape)
    for (start, stop), score in zip(
        ((0, 4), (10, 12), (13, 14), (20, 24), (30, 34)), (0.9, 0.3, 0.5, 0.7, 0.2), strict=True
    ):
        probability[0, start:stop] = score
    case = detect(truth, predicted, (1, 1), probability=probability)
    assert case.scores.tolist() == [0.9, 0.3, 0.5, 0.7, 0.2]
    clean = detect(line((5, 9)), line((5, 9)), (1, 1), probability=line((5, 9)) * 0.6)
    curve = froc([case, clean])
    # the second lesion is hit twice: found at 0.5, its other part is no false positive
    assert curve.thresholds.tolist() == [0.9, 0.7, 0.6, 0.5, 0.2]
    assert curve.false_positives.tolist() == [0, 0.5, 0.5, 0.5, 1]
    assert curve.sensitivity.tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1, 1])
    assert curve.at([0.25, 0.5, 8]).tolist() == pytest.approx([1 / 3, 1, 1])


def test_froc_needs_scores_and_lesions():
    with pytest.raises(ValueError, match="score of every lesion"):
        froc([detect(line((0, 4)), line(), (1, 1))])
    with pytest.raises(ValueError, match="true lesion"):
        froc([detect(line(), line((0, 4)), (1, 1), probability=line((0, 4)) * 0.5)])
