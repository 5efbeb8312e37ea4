"""Overlap of masks by counting voxels: Dice, IoU, sensitivity, precision, specificity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medseg.metrics.empty import NOT_COUNTED, EmptyPolicy, Outcome, outcome_of

HIGHEST_VALUE = 65535  # of a label, as in a LabelMap
CHUNK = 1 << 20  # voxels counted at a time: 8 MiB as the whole numbers that counting needs


@dataclass(frozen=True, eq=False, slots=True)
class Counts:
    """Voxels of pairs of masks, one entry a label or region.

    A ratio whose denominator is 0 is nan: sensitivity without truth, precision without
    prediction, Dice and IoU with neither.

    Attributes
    ----------
    shared, truth, predicted : (L,) int array
        Voxels in both masks, in the truth, in the prediction.
    total : int
        Voxels of the image that were counted.
    """

    shared: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    total: int

    @property
    def dice(self) -> np.ndarray:
        """Shared voxels over the mean count of both masks (Dice, 1945)."""
        return _ratio(2 * self.shared, self.truth + self.predicted)

    @property
    def iou(self) -> np.ndarray:
        """Shared voxels over those of either mask (Jaccard, 1901)."""
        return _ratio(self.shared, self.truth + self.predicted - self.shared)

    @property
    def sensitivity(self) -> np.ndarray:
        """Share of the truth that was found."""
        return _ratio(self.shared, self.truth)

    @property
    def precision(self) -> np.ndarray:
        """Share of the prediction that is true."""
        return _ratio(self.shared, self.predicted)

    @property
    def specificity(self) -> np.ndarray:
        """Share of the rest of the image that was left out; grows with the field of view."""
        outside = self.total - self.truth
        return _ratio(outside - (self.predicted - self.shared), outside)

    @property
    def volume_error(self) -> np.ndarray:
        """Predicted less true volume over true volume; -1 for a miss."""
        return _ratio(self.predicted - self.truth, self.truth)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    ratio = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=ratio, where=np.asarray(whole) != 0)
    return ratio


def counted(truth: np.ndarray, predicted: np.ndarray, groups: Sequence[Sequence[int]]) -> Counts:
    """Count the voxels of every label and region in one pass over two label maps.

    Parameters
    ----------
    truth, predicted : integer or bool array of one shape
        Label maps on one grid, values 0 to 65535.
    groups : sequence of sequence of int
        Label values of each entry: one for a label, several for a region (their union).

    Raises
    ------
    TypeError, ValueError
        No label maps, not of one shape, or values out of range.

    Examples
    --------
    >>> counts = counted(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), [(1,), (2,), (1, 2)])
    >>> counts.dice.round(3).tolist()
    [0.667, 0.667, 1.0]
    """
    values = sorted({value for group in groups for value in group})
    matrix = confusion(truth, predicted, values)
    place = {value: n for n, value in enumerate(values, start=1)}
    shared, in_truth, in_predicted = [], [], []
    for group in groups:
        held = sorted({place[value] for value in group})
        shared.append(matrix[np.ix_(held, held)].sum())
        in_truth.append(matrix[held].sum())
        in_predicted.append(matrix[:, held].sum())
    return Counts(np.array(shared), np.array(in_truth), np.array(in_predicted), truth.size)


def confusion(truth: np.ndarray, predicted: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Return how many voxels of each true value were given each predicted value.

    Parameters
    ----------
    truth, predicted : integer or bool array of one shape
        Label maps on one grid, values 0 to 65535.
    values : sequence of int
        Label values above 0 in the order wanted.

    Returns
    -------
    (V + 1, V + 1) int64 array
        True values along the first axis. Index 0 is all that is not listed, background too.

    Raises
    ------
    TypeError, ValueError
        No label maps, not of one shape, or values out of range.

    Examples
    --------
    >>> confusion(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), [1, 2])
    array([[1, 0, 0],
           [0, 1, 1],
           [0, 0, 1]])
    """
    truth, predicted = check_label_maps(truth, predicted)
    if truth.flags.f_contiguous and predicted.flags.f_contiguous:
        truth, predicted = truth.T, predicted.T  # as files are read: walk along memory
    highest = max(255, *values, int(truth.max(initial=0)), int(predicted.max(initial=0)))
    index = np.zeros(highest + 1, np.uint16)  # of each value in the matrix
    index[list(values)] = np.arange(1, len(values) + 1)
    if truth.dtype == predicted.dtype == np.uint8 and truth.size > 256**2:
        # count all 256 values, then pick: no look-up of every voxel
        pairs = _pair_counts(truth.reshape(-1), predicted.reshape(-1), 256)
        chosen = np.eye(len(values) + 1)[index[:256]]  # (256, V + 1)
        return np.asarray(chosen.T @ pairs @ chosen, dtype=np.int64)  # exact below 2 ** 53
    return _pair_counts(index[truth.reshape(-1)], index[predicted.reshape(-1)], len(values) + 1)


def _pair_counts(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count each pair of values below ``classes`` along two flat arrays."""
    wide = np.uint16 if classes <= 256 else np.uint32  # 65536 pairs just fit 16 bits
    counts = np.zeros(classes**2, np.int64)
    for start in range(0, truth.size, CHUNK):
        ours, theirs = truth[start : start + CHUNK], predicted[start : start + CHUNK]
        if not ours.any() and not theirs.any():
            counts[0] += ours.size
            continue
        pair = np.multiply(ours, classes, dtype=wide) + theirs
        counts += np.bincount(pair, minlength=classes**2)
    return counts.reshape(classes, classes)


def check_label_maps(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two label maps whose types and shapes were checked, bool as 0 and 1."""
    if truth.shape != predicted.shape:
        raise ValueError(f"label maps lie on different grids: {truth.shape}, {predicted.shape}")
    return _checked_values(truth), _checked_values(predicted)


def _checked_values(labels: np.ndarray) -> np.ndarray:
    if labels.dtype == bool:
        return labels.view(np.uint8)
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"label maps must hold whole numbers, not {labels.dtype}")
    if labels.dtype not in (np.uint8, np.uint16) and labels.size:
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high > HIGHEST_VALUE:
            raise ValueError(f"label values run from {low} to {high}: use 0 to {HIGHEST_VALUE}")
    return labels


def check_masks(truth: np.ndarray, predicted: np.ndarray) -> None:
    """Refuse what is not two bool masks of one shape."""
    if not truth.dtype == predicted.dtype == bool:
        raise TypeError(f"masks must be bool, not {truth.dtype} and {predicted.dtype}")
    if truth.shape != predicted.shape:
        raise ValueError(f"masks lie on different grids: {truth.shape}, {predicted.shape}")


def dice(truth: np.ndarray, predicted: np.ndarray, *, empty: EmptyPolicy = NOT_COUNTED) -> float:
    """Return the voxels shared by two masks over their mean count (Dice, 1945).

    Two empty masks give nan, not 1: a case without the structure says nothing about how
    well it is outlined, and a 1 would lift the mean of every rare label. Take means with
    ``np.nanmean`` and report how many cases went in.

    Parameters
    ----------
    truth, predicted : (I, J, K) bool array
        One label on one grid, of any number of axes. Other types are refused: a whole label
        map would be scored as a single foreground.
    empty : EmptyPolicy
        What an empty mask scores.

    Raises
    ------
    TypeError, ValueError
        The masks are not bool, or not of one shape.

    Examples
    --------
    >>> round(dice(np.array([True, True, False]), np.array([True, False, False])), 3)
    0.667
    """
    counts = _counts(truth, predicted)
    return empty.overlap(_outcome(counts), counts.dice.item())


def iou(truth: np.ndarray, predicted: np.ndarray, *, empty: EmptyPolicy = NOT_COUNTED) -> float:
    """Return the voxels shared by two masks over those of either (Jaccard, 1901).

    Parameters and refusals as in :func:`dice`.

    Examples
    --------
    >>> iou(np.array([True, True, False]), np.array([True, False, False]))
    0.5
    """
    counts = _counts(truth, predicted)
    return empty.overlap(_outcome(counts), counts.iou.item())


def sensitivity(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of the true voxels that were found; nan without any.

    Parameters and refusals as in :func:`dice`.
    """
    return float(_counts(truth, predicted).sensitivity.item())


def precision(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of the predicted voxels that are true; nan without any.

    Parameters and refusals as in :func:`dice`.
    """
    return float(_counts(truth, predicted).precision.item())


def specificity(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of the voxels outside the truth that were left out.

    It grows with the field of view: compare it on equal grids only. Parameters and refusals as
    in :func:`dice`.
    """
    return float(_counts(truth, predicted).specificity.item())


def volume_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the predicted less the true volume over the true one; nan without truth.

    Parameters and refusals as in :func:`dice`.

    Examples
    --------
    >>> volume_error(np.array([True, True, False]), np.array([True, False, False]))
    -0.5
    """
    return float(_counts(truth, predicted).volume_error.item())


def _counts(truth: np.ndarray, predicted: np.ndarray) -> Counts:
    check_masks(truth, predicted)
    shared, ours, theirs = (
        np.array([np.count_nonzero(mask)]) for mask in (truth & predicted, truth, predicted)
    )
    return Counts(shared, ours, theirs, truth.size)


def _outcome(counts: Counts) -> Outcome:
    return outcome_of(int(counts.truth[0]), int(counts.predicted[0]))
