"""The rows of one case: every score the same as alone, whatever the masks hold."""

import math

import numpy as np
import pytest

from medseg.labels import Label, LabelSet
from medseg.metrics import EMPTY_POLICIES, METRICS, LesionRule, metric, scores, touches_border
from tests.metrics.solids import ball, block

SPACING = (1.0, 1.5, 2.0)
LABELS = LabelSet(
    (Label(1, "Liver"), Label(4, "Tumour"), Label(9, "Liver with tumour", region=(1, 4)))
)


def case():
    truth, predicted = np.zeros((2, 40, 30, 24), np.uint8)
    truth[ball(truth.shape, SPACING, 13)] = 1
    truth[ball(truth.shape, SPACING, 5)] = 4
    predicted[ball(truth.shape, SPACING, 13.9, (19, 15, 12))] = 1
    predicted[ball(truth.shape, SPACING, 4, (21, 14, 11))] = 4
    return truth, predicted


def test_every_score_is_that_of_the_metric_alone():
    truth, predicted = case()
    for score in scores(truth, predicted, SPACING, LABELS, tolerances_mm=(1, 3)):
        group = LABELS[score.label].region or (score.label,)
        ours, theirs = np.isin(truth, group), np.isin(predicted, group)
        for name in METRICS:
            measure = metric(name)
            near = name.endswith("_mm") or name == "nsd"
            alone = measure(ours, theirs, SPACING) if near else measure(ours, theirs)
            found = score.nsd[0][1] if name == "nsd" else getattr(score, name)
            assert found == pytest.approx(alone, nan_ok=True), name
        alone = metric("nsd")(ours, theirs, SPACING, tolerance_mm=3)
        assert score.nsd[1] == (3, pytest.approx(alone))
        assert score.reference_ml == pytest.approx(np.count_nonzero(ours) * 3 / 1000)
        assert score.volume_ml == pytest.approx(np.count_nonzero(theirs) * 3 / 1000)
        assert score.touches_border == touches_border(theirs)


@pytest.mark.parametrize("dtype", [np.int64, np.uint16])
def test_types_and_memory_order_change_nothing(dtype):
    truth, predicted = case()
    plain = scores(truth, predicted, SPACING, LABELS)
    turned = [np.asfortranarray(one.astype(dtype)) for one in (truth, predicted)]
    assert scores(*turned, SPACING, LABELS) == plain


@pytest.mark.parametrize("dialect", ["monai", "medpy"])
def test_the_dialect_of_hd95_is_the_one_asked_for(dialect):
    truth, predicted = case()
    [one, *_] = scores(truth, predicted, SPACING, LABELS, dialect=dialect)
    alone = metric("hd95_mm")(truth == 1, predicted == 1, SPACING, dialect=dialect)
    assert one.hd95_mm == alone != scores(truth, predicted, SPACING, LABELS)[0].hd95_mm


@pytest.mark.parametrize("policy", EMPTY_POLICIES)
def test_empty_masks_score_as_the_policy_says(policy):
    policy = EMPTY_POLICIES[policy]
    full, empty = (
        block((6, 6, 6), (1, 1, 1), (2, 2, 2)).astype(np.uint8),
        np.zeros((6,) * 3, np.uint8),
    )
    label = [Label(1, "Lesion")]
    for pair, outcome in (
        ((empty, empty), "both-empty"), ((full, empty), "missed"), ((empty, full), "false-alarm")
    ):  # fmt: skip
        [score] = scores(*pair, (1, 1, 1), label, empty=policy)
        overlap = policy.overlap(outcome, 0.5)
        distance = policy.distance(outcome, 5, diagonal_mm=math.sqrt(108))
        assert score.outcome == outcome
        np.testing.assert_equal([score.dice, score.iou, score.nsd[0][1]], [overlap] * 3)
        found = [score.hd_mm, score.hd95_mm, score.assd_mm]
        np.testing.assert_allclose(found, [distance] * 3)


def test_without_labels_every_value_that_occurs_is_scored():
    truth, predicted = np.zeros((2, 5, 5), np.uint16)
    truth[1, 1:4], predicted[3, 1:4] = 300, 7
    found = scores(truth, predicted, (1, 1))
    assert [(one.label, one.outcome) for one in found] == [(7, "false-alarm"), (300, "missed")]
    assert scores(truth * 0, truth * 0, (1, 1)) == []


def test_a_label_absent_everywhere_has_a_row():
    truth, predicted = case()
    [one] = scores(truth, predicted, SPACING, [Label(77, "Spleen")])
    assert (one.outcome, one.volume_ml, one.touches_border) == ("both-empty", 0, False)
    assert math.isnan(one.centre_mm)
    [region] = scores(truth, predicted, SPACING, [Label(5, "Both", region=(4, 77))])
    assert region.dice == scores(truth, predicted, SPACING, [Label(4, "Tumour")])[0].dice


def test_voxels_to_ignore_count_nowhere():
    truth, predicted = np.zeros((2, 4, 10), np.uint8)
    truth[:, :3], predicted[:, :5] = 1, 1
    truth[:, 3:5] = 255  # nobody knows
    [one] = scores(truth, predicted, (1, 1), [Label(1, "Lesion")], ignore=255)
    assert (one.dice, one.hd_mm, one.specificity) == (1, 0, 1)
    predicted[0, 9] = 1
    [one] = scores(truth, predicted, (1, 1), [Label(1, "Lesion")], ignore=255)
    assert one.specificity == pytest.approx(19 / 20)  # of 40 pixels 8 are ignored, 12 are true


def test_lesions_are_matched_where_a_rule_is_given():
    truth, predicted = np.zeros((2, 20, 12, 12), np.uint8)
    truth[2:5, 2:5, 2:5] = truth[10:13, 2:5, 2:5] = 3
    predicted[2:5, 2:5, 2:6] = 3
    predicted[16:18, 8:10, 8:10] = 3
    [one] = scores(truth, predicted, (1, 1, 1), lesions=LesionRule())
    row = one.as_row()
    assert (row["lesion_matched"], row["lesion_missed"], row["lesion_false_positives"]) == (1, 1, 1)
    assert row["lesion_f1"] == 0.5
    assert one.lesions.predicted_boxes[1] == (slice(16, 18), slice(8, 10), slice(8, 10))
    assert "lesions" not in row


def test_a_row_names_its_tolerances():
    truth, predicted = case()
    row = scores(truth, predicted, SPACING, LABELS, tolerances_mm=(1, 2.5))[0].as_row()
    assert row["nsd_1mm"] <= row["nsd_2.5mm"]
    assert list(row)[:4] == ["label", "name", "outcome", "dice"]
    assert "nsd" not in row


def test_slices_and_flat_images_are_scored():
    truth, predicted = case()
    for pair, spacing in (
        ((truth[..., 12:13], predicted[..., 12:13]), SPACING),
        ((truth[..., 12], predicted[..., 12]), SPACING[:2]),
    ):
        for one in scores(*pair, spacing, LABELS):
            assert 0 < one.dice < 1
            assert 0 < one.assd_mm < 3
