"""Every score of every label of one case, with the work shared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from scipy import ndimage

from medseg.labels import Label
from medseg.metrics.box import Box, at_border, box_of, joined, moved
from medseg.metrics.empty import NOT_COUNTED, EmptyPolicy, Outcome, outcome_of
from medseg.metrics.lesion import Detection, LesionRule, detect
from medseg.metrics.overlap import check_label_maps, counted
from medseg.metrics.shape import centre_distance_mm
from medseg.metrics.surface import Dialect, diagonal_mm, hd95, surface_distances


@dataclass(frozen=True, slots=True)
class Score:
    """All scores of one label or region of one case; nan is "nothing to say".

    Attributes
    ----------
    label, name : int, str
        Value and name.
    outcome : {"scored", "both-empty", "missed", "false-alarm"}
        Which masks were empty: where not ``scored``, overlaps and distances are those of the
        empty policy.
    dice, iou, sensitivity, precision, specificity : float
    volume_ml, reference_ml, volume_error : float
        Predicted and true volume; their difference over the true one.
    hd_mm, hd95_mm, assd_mm : float
    nsd : tuple of (float, float)
        Pairs of tolerance in mm and normalised surface Dice.
    centre_mm : float
        Between the centres of mass.
    touches_border : bool
        The prediction reaches an edge of the image.
    lesions : Detection or None
        Lesion by lesion, where a rule was given.
    """

    label: int
    name: str
    outcome: Outcome
    dice: float
    iou: float
    sensitivity: float
    precision: float
    specificity: float
    volume_ml: float
    reference_ml: float
    volume_error: float
    hd_mm: float
    hd95_mm: float
    assd_mm: float
    nsd: tuple[tuple[float, float], ...]
    centre_mm: float
    touches_border: bool
    lesions: Detection | None = None

    def as_row(self) -> dict[str, object]:
        """Return the scores as columns of a table: ``nsd_1mm``, ``lesion_f1`` and so on."""
        row = {one.name: getattr(self, one.name) for one in fields(self)}
        row.pop("nsd")
        row |= {f"nsd_{tolerance:g}mm": value for tolerance, value in self.nsd}
        if (lesions := row.pop("lesions")) is not None:
            row |= {f"lesion_{name}": getattr(lesions, name) for name in LESION_COLUMNS}
        return row


LESION_COLUMNS = (
    "matched", "missed", "false_positives", "sensitivity", "precision", "f1", "lesion_dice",
    "segmentation_quality", "panoptic_quality",
)  # fmt: skip


def scores(
    truth: np.ndarray,
    predicted: np.ndarray,
    spacing: Sequence[float],
    labels: Iterable[Label] | None = None,
    *,
    tolerances_mm: Sequence[float] = (1.0,),
    dialect: Dialect = "medseg",
    empty: EmptyPolicy = NOT_COUNTED,
    lesions: LesionRule | None = None,
    ignore: int | None = None,
) -> list[Score]:
    """Score every label of a predicted label map against the truth.

    Voxels of all labels are counted in one pass, boxes are found in one more; then surfaces
    are measured once a label, within the box around it.

    Parameters
    ----------
    truth, predicted : (I, J) or (I, J, K) integer or bool array
        Label maps on one grid, values 0 to 65535.
    spacing : sequence of 2 or 3 float
        Voxel size along the array axes in mm; the axes are taken to be at right angles.
    labels : iterable of Label, optional
        Which labels and regions, as of a LabelSet; by default every value that occurs.
    tolerances_mm : sequence of float
        Of the normalised surface Dice.
    dialect : {"medseg", "monai", "medpy"}
        What HD95 means, see :func:`medseg.metrics.hd95`.
    empty : EmptyPolicy
        What an empty mask scores.
    lesions : LesionRule, optional
        Compare lesion by lesion too.
    ignore : int, optional
        True value of voxels that count nowhere: as if cut out of both masks.

    Raises
    ------
    TypeError, ValueError
        No label maps, not of one shape, values out of range, or the spacing does not fit.

    Examples
    --------
    >>> truth, predicted = np.zeros((2, 8, 8, 8), np.uint8)
    >>> truth[2:6, 2:6, 2:6] = predicted[2:6, 2:6, 3:7] = 1
    >>> [one] = scores(truth, predicted, (1, 1, 2))
    >>> one.dice, one.hd_mm, one.reference_ml, one.centre_mm
    (0.75, 2.0, 0.128, 2.0)
    """
    truth, predicted = check_label_maps(truth, predicted)
    total = truth.size
    if ignore is not None:
        kept = truth != ignore
        truth, predicted = truth * kept, predicted * kept
        total = int(np.count_nonzero(kept))
    true_boxes, predicted_boxes = _boxes(truth), _boxes(predicted)
    present = sorted(true_boxes.keys() | predicted_boxes.keys())
    chosen = [Label(value, str(value)) for value in present] if labels is None else [*labels]
    groups = [label.region or (label.value,) for label in chosen]
    counts = replace(counted(truth, predicted, groups), total=total)
    voxel_ml = math.prod(spacing) / 1000
    diagonal = diagonal_mm(truth.shape, spacing)
    rows = []
    for n, (label, group) in enumerate(zip(chosen, groups, strict=True)):
        ours_in = [true_boxes[value] for value in group if value in true_boxes]
        theirs_in = [predicted_boxes[value] for value in group if value in predicted_boxes]
        box = joined(ours_in + theirs_in) if ours_in + theirs_in else (slice(0, 0),) * truth.ndim
        ours, theirs = _mask(truth[box], group), _mask(predicted[box], group)
        outcome = outcome_of(int(counts.truth[n]), int(counts.predicted[n]))
        rows.append(
            Score(
                label=label.value,
                name=label.name,
                outcome=outcome,
                dice=empty.overlap(outcome, float(counts.dice[n])),
                iou=empty.overlap(outcome, float(counts.iou[n])),
                sensitivity=float(counts.sensitivity[n]),
                precision=float(counts.precision[n]),
                specificity=float(counts.specificity[n]),
                volume_ml=float(counts.predicted[n] * voxel_ml),
                reference_ml=float(counts.truth[n] * voxel_ml),
                volume_error=float(counts.volume_error[n]),
                **_of_surfaces(ours, theirs, spacing, tolerances_mm, dialect, empty, diagonal),
                centre_mm=centre_distance_mm(ours, theirs, spacing),
                touches_border=bool(theirs_in) and at_border(joined(theirs_in), truth.shape),
                lesions=_detection(ours, theirs, spacing, lesions, box) if lesions else None,
            )
        )
    return rows


def _boxes(labels: np.ndarray) -> dict[int, Box]:
    """Return the box around each value above 0."""
    turned = labels.flags.f_contiguous and not labels.flags.c_contiguous
    along = labels.T if turned else labels  # along memory: 3 times faster
    around = box_of(along)
    if around is None:
        return {}
    return {
        value: moved(box, around)[:: -1 if turned else 1]
        for value, box in enumerate(ndimage.find_objects(along[around]), start=1)
        if box is not None
    }


def _mask(labels: np.ndarray, group: Sequence[int]) -> np.ndarray:
    """Return where a label map holds one of these values, in C order."""
    mask = labels == group[0] if len(group) == 1 else np.isin(labels, group)
    return np.ascontiguousarray(mask)


def _of_surfaces(
    truth: np.ndarray,
    predicted: np.ndarray,
    spacing: Sequence[float],
    tolerances_mm: Sequence[float],
    dialect: Dialect,
    empty: EmptyPolicy,
    diagonal: float,
) -> dict[str, Any]:
    far = surface_distances(truth, predicted, spacing)
    outcome = outcome_of(far.from_truth.size, far.from_predicted.size)
    robust = far.hausdorff(95)
    if dialect != "medseg":
        robust = hd95(truth, predicted, spacing, dialect=dialect)
    distances = {"hd_mm": far.hausdorff(), "hd95_mm": robust, "assd_mm": far.average()}
    return {name: empty.distance(outcome, mm, diagonal) for name, mm in distances.items()} | {
        "nsd": tuple((mm, empty.overlap(outcome, far.within(mm))) for mm in tolerances_mm)
    }


def _detection(
    truth: np.ndarray, predicted: np.ndarray, spacing: Sequence[float], rule: LesionRule, box: Box
) -> Detection:
    """Match lesions within a box; say their own boxes in voxels of the image."""
    found = detect(truth, predicted, spacing, rule)
    return replace(found, predicted_boxes=tuple(moved(one, box) for one in found.predicted_boxes))
