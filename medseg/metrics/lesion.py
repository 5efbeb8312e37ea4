"""Lesions: connected components, which of them match, and the scores of detection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from medseg.metrics.box import Box, box_of, moved
from medseg.metrics.overlap import check_masks

ORDERS = {2: {4: 1, 8: 2}, 3: {6: 1, 18: 2, 26: 3}}  # neighbours: axes a step may move along
FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false positives a scan, as LUNA16


@dataclass(frozen=True, slots=True)
class LesionRule:
    """What counts as one lesion, and when a predicted one matches a true one.

    Attributes
    ----------
    neighbours : int or None
        That join voxels to one lesion: 6, 18 or 26 (4 or 8 in 2-D); None for the most.
    overlap : {"iou", "cover"}
        How the overlap of two lesions is taken: shared voxels over those of either, or over
        those of the true lesion.
    threshold : float
        Least overlap of a match; sharing a voxel is always needed. 0.1 IoU is usual for
        detection, 0.5 for panoptic quality.
    assign : {"greedy", "optimal"}
        Matches are one to one: taken from the largest overlap down, or so that the sum of
        overlaps is largest. Above 0.5 IoU both agree, since no lesion has two candidates.
    smallest_ml : float
        Lesions of less volume are left out of both masks.
    """

    neighbours: int | None = None
    overlap: Literal["iou", "cover"] = "iou"
    threshold: float = 0.1
    assign: Literal["greedy", "optimal"] = "greedy"
    smallest_ml: float = 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Lesions:
    """The lesions of one mask.

    Attributes
    ----------
    array : int32 array
        0 outside, else the number of the lesion from 1, in the order of its first voxel.
    voxels : (N,) int array
        Voxels of each.
    boxes : tuple of Box
        The smallest box around each, as slices along the array axes.
    """

    array: np.ndarray
    voxels: np.ndarray
    boxes: tuple[Box, ...]

    def __len__(self) -> int:
        return len(self.voxels)


def lesions_of(
    mask: np.ndarray, *, neighbours: int | None = None, smallest_voxels: float = 0
) -> Lesions:
    """Take a mask apart into its connected components.

    Parameters
    ----------
    mask : (I, J) or (I, J, K) bool array
    neighbours : int or None
        That join voxels: 6, 18 or 26 (4 or 8 in 2-D); None for the most.
    smallest_voxels : float
        Components of fewer voxels are left out.

    Raises
    ------
    ValueError
        There is no such neighbourhood.

    Examples
    --------
    >>> lesions = lesions_of(np.array([[True, False, True], [True, False, False]]))
    >>> lesions.voxels.tolist(), lesions.boxes[1]
    ([2, 1], (slice(0, 1, None), slice(2, 3, None)))
    """
    orders = ORDERS.get(mask.ndim, {})
    if neighbours is None and orders:
        neighbours = max(orders)
    if neighbours is None or neighbours not in orders:
        raise ValueError(f"{neighbours} neighbours in {mask.ndim} axes: use one of {[*orders]}")
    structure = ndimage.generate_binary_structure(mask.ndim, orders[neighbours])
    array = np.asarray(ndimage.label(mask, structure, output=np.int32)[0])
    voxels = np.bincount(array.ravel())[1:]
    large = voxels >= smallest_voxels
    if not large.all():
        renumbered = np.concatenate(([0], np.where(large, np.cumsum(large), 0)))
        array, voxels = renumbered.astype(np.int32)[array], voxels[large]
    boxes = ndimage.find_objects(array, max_label=len(voxels)) if len(voxels) else []
    return Lesions(array, voxels, tuple(boxes))


@dataclass(frozen=True, eq=False, slots=True)
class Detection:
    """How the predicted lesions of one case match the true ones.

    Scores without anything to count are nan: sensitivity without a true lesion, precision
    without a predicted one, F1 and panoptic quality with neither.

    Attributes
    ----------
    truth_ml, predicted_ml : (N,), (M,) array
        Volume of each lesion in ml.
    predicted_boxes : tuple of Box
        Of each predicted lesion, in voxels of the image.
    matches : (P, 2) int array
        Pairs of a true and a predicted lesion, from 0; each lesion at most once.
    ious, dices : (P,) array
        Overlap of each pair.
    hits : (H, 2) int array
        Every pair whose overlap reaches the threshold, before each was used once only.
    scores : (M,) array or None
        How sure the model is of each predicted lesion.
    """

    truth_ml: np.ndarray
    predicted_ml: np.ndarray
    predicted_boxes: tuple[Box, ...]
    matches: np.ndarray
    ious: np.ndarray
    dices: np.ndarray
    hits: np.ndarray
    scores: np.ndarray | None = None

    @property
    def matched(self) -> int:
        """True lesions with a match."""
        return len(self.matches)

    @property
    def missed(self) -> int:
        """True lesions without."""
        return len(self.truth_ml) - self.matched

    @property
    def false_positives(self) -> int:
        """Predicted lesions without a match."""
        return len(self.predicted_ml) - self.matched

    @property
    def sensitivity(self) -> float:
        """Share of the true lesions that were matched."""
        return _share(self.matched, len(self.truth_ml))

    @property
    def precision(self) -> float:
        """Share of the predicted lesions that were matched."""
        return _share(self.matched, len(self.predicted_ml))

    @property
    def f1(self) -> float:
        """Matches over the mean number of lesions; the recognition quality (RQ) too."""
        return _share(2 * self.matched, len(self.truth_ml) + len(self.predicted_ml))

    @property
    def segmentation_quality(self) -> float:
        """Mean IoU of the matches (SQ); nan without one."""
        return _share(float(self.ious.sum()), self.matched)

    @property
    def panoptic_quality(self) -> float:
        """Summed IoU of the matches over the mean number of lesions: SQ times RQ.

        Kirillov et al., "Panoptic segmentation", CVPR 2019.
        """
        return _share(2 * float(self.ious.sum()), len(self.truth_ml) + len(self.predicted_ml))

    @property
    def lesion_dice(self) -> float:
        """Mean Dice over matches, misses and false positives, the last two with 0.

        The mean of BraTS 2023; lesions are not dilated before they are told apart, as there.
        """
        lesions = self.matched + self.missed + self.false_positives
        return _share(float(self.dices.sum()), lesions)


def _share(part: float, whole: int) -> float:
    return part / whole if whole else math.nan


def detect(
    truth: np.ndarray,
    predicted: np.ndarray,
    spacing: Sequence[float],
    rule: LesionRule | None = None,
    *,
    probability: np.ndarray | None = None,
) -> Detection:
    """Match the lesions of a predicted mask with those of the truth.

    Parameters
    ----------
    truth, predicted : (I, J) or (I, J, K) bool array
        One label on one grid.
    spacing : sequence of 2 or 3 float
        Voxel size along the array axes in mm.
    rule : LesionRule
        What a lesion and a match is; by default 26 neighbours, IoU of 0.1, greedy.
    probability : float array of the same shape, optional
        Of the label; the largest within a predicted lesion is its score.

    Raises
    ------
    TypeError, ValueError
        The masks are not bool or not of one shape.

    Examples
    --------
    >>> truth, predicted = np.zeros((2, 9, 9, 9), bool)
    >>> truth[:2, :2, :2] = truth[5:, 5:, 5:] = True
    >>> predicted[1:3, :2, :2] = True
    >>> found = detect(truth, predicted, (1, 1, 1))
    >>> found.matched, found.missed, found.false_positives, round(found.f1, 3)
    (1, 1, 0, 0.667)
    """
    check_masks(truth, predicted)
    rule = rule or LesionRule()
    box = box_of(truth, predicted) or (slice(0, 0),) * truth.ndim
    voxel_ml = math.prod(spacing) / 1000
    smallest = rule.smallest_ml / voxel_ml
    ours, theirs = (
        lesions_of(mask[box], neighbours=rule.neighbours, smallest_voxels=smallest)
        for mask in (truth, predicted)
    )
    pairs, shared = _shared_voxels(ours, theirs)
    sizes = ours.voxels[pairs[:, 0]], theirs.voxels[pairs[:, 1]]
    ious = shared / (sizes[0] + sizes[1] - shared)
    overlap = ious if rule.overlap == "iou" else shared / sizes[0]
    reached = np.flatnonzero(overlap >= rule.threshold)
    taken = reached[_ASSIGN[rule.assign](pairs[reached], overlap[reached])]
    scores = None
    if probability is not None:
        numbers = np.arange(1, len(theirs) + 1)
        scores = np.asarray(ndimage.maximum(probability[box], theirs.array, numbers)).reshape(-1)
    return Detection(
        truth_ml=ours.voxels * voxel_ml,
        predicted_ml=theirs.voxels * voxel_ml,
        predicted_boxes=tuple(moved(one, box) for one in theirs.boxes),
        matches=pairs[taken],
        ious=ious[taken],
        dices=2 * shared[taken] / (sizes[0] + sizes[1])[taken],
        hits=pairs[reached],
        scores=scores,
    )


def _shared_voxels(ours: Lesions, theirs: Lesions) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of lesions that share voxels, ``(P, 2)`` from 0, and how many."""
    both = np.flatnonzero((ours.array > 0) & (theirs.array > 0))
    first = ours.array.ravel()[both].astype(np.int64) - 1
    second = theirs.array.ravel()[both] - 1
    keys, shared = np.unique(first * (len(theirs) + 1) + second, return_counts=True)
    return np.stack(np.divmod(keys, len(theirs) + 1), axis=1), shared


def _greedy(pairs: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """Return the pairs taken from the largest overlap down; the first of equals first."""
    used: tuple[set[int], set[int]] = (set(), set())
    taken = []
    for n in np.argsort(-overlap, kind="stable").tolist():
        one, other = pairs[n].tolist()
        if one not in used[0] and other not in used[1]:
            used[0].add(one)
            used[1].add(other)
            taken.append(n)
    return np.array(taken, dtype=np.int64)


def _optimal(pairs: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """Return the pairs, each lesion once, whose overlaps have the largest sum."""
    if not len(pairs):
        return np.zeros(0, np.int64)
    rows, row = np.unique(pairs[:, 0], return_inverse=True)
    columns, column = np.unique(pairs[:, 1], return_inverse=True)
    gain = np.zeros((len(rows), len(columns)))
    gain[row, column] = overlap
    number = np.full(gain.shape, -1)
    number[row, column] = np.arange(len(pairs))
    chosen = number[linear_sum_assignment(gain, maximize=True)]
    return np.asarray(chosen[chosen >= 0])


_ASSIGN = {"greedy": _greedy, "optimal": _optimal}


@dataclass(frozen=True, eq=False, slots=True)
class Froc:
    """Free-response curve: lesions found against false positives a scan.

    Attributes
    ----------
    thresholds : (T,) array
        Scores from which on a lesion counts as predicted, falling.
    false_positives : (T,) array
        A scan, at each threshold.
    sensitivity : (T,) array
        Share of all true lesions that were hit, at each threshold.
    """

    thresholds: np.ndarray
    false_positives: np.ndarray
    sensitivity: np.ndarray

    def at(self, rates: Sequence[float] = FROC_RATES) -> np.ndarray:
        """Return the best sensitivity at no more than these false positives a scan.

        No interpolation: what is returned was reached at a threshold, or is 0. The mean over
        the default rates is the FROC score of LUNA16 (Setio et al., Med Image Anal 2017).
        """
        reached = np.searchsorted(self.false_positives, np.asarray(rates), side="right")
        return np.concatenate(([0.0], self.sensitivity))[reached]


def froc(cases: Sequence[Detection]) -> Froc:
    """Return the free-response curve of cases whose predicted lesions have scores.

    A true lesion is found at the score of the best lesion that hits it; a predicted one that
    hits none is a false positive; further hits on one lesion count neither way.

    Raises
    ------
    ValueError
        A case has no scores, or no case has a true lesion.

    Examples
    --------
    >>> truth, predicted = np.zeros((2, 9, 9), bool)
    >>> truth[:2, :2] = predicted[:2, :3] = predicted[6:, 6:] = True
    >>> curve = froc([detect(truth, predicted, (1, 1), probability=predicted * 0.8)])
    >>> curve.false_positives.tolist(), curve.sensitivity.tolist()
    ([1.0], [1.0])
    """
    found: list[float] = []
    false: list[float] = []
    lesions = 0
    for case in cases:
        if case.scores is None:
            raise ValueError("FROC needs the score of every lesion: give detect the probability")
        lesions += len(case.truth_ml)
        best: dict[int, float] = {}
        for one, other in case.hits.tolist():
            best[one] = max(best.get(one, -math.inf), float(case.scores[other]))
        found += best.values()
        false += np.delete(case.scores, np.unique(case.hits[:, 1])).tolist()
    if not lesions:
        raise ValueError("FROC needs a true lesion in some case")
    thresholds = np.unique([*found, *false])[::-1]
    return Froc(
        thresholds=thresholds,
        false_positives=_count_from(false, thresholds) / len(cases),
        sensitivity=_count_from(found, thresholds) / lesions,
    )


def _count_from(scores: list[float], thresholds: np.ndarray) -> np.ndarray:
    """Return how many scores are at or above each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")
