"""Whether probabilities mean what they say: ECE, reliability, Brier score, NLL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medseg.metrics.box import box_of

BINS = 15  # of equal width, as Guo et al., ICML 2017
BAND_MM = 5.0  # around the foreground; further off background drowns every error
LEAST = 1e-7  # probability taken for 0 in logarithms: half a float32 step below 1


@dataclass(frozen=True, eq=False, slots=True)
class Calibration:
    """How well probabilities fit, over the voxels looked at.

    Attributes
    ----------
    ece : float
        Expected calibration error: mean distance of confidence and accuracy over the bins,
        weighted by their voxels. Confidence is the largest probability of a voxel.
    brier : float
        Mean over voxels of the squared errors summed over classes, 0 to 2.
    nll : float
        Mean negative logarithm of the probability of the true class, in nats.
    confidence, accuracy : (B,) array
        The reliability curve: mean confidence and share of right classes of each bin; nan
        where it is empty.
    voxels : (B,) int array
        Voxels of each bin.
    """

    ece: float
    brier: float
    nll: float
    confidence: np.ndarray
    accuracy: np.ndarray
    voxels: np.ndarray


def calibration(
    probabilities: np.ndarray,
    truth: np.ndarray,
    where: np.ndarray | None = None,
    *,
    bins: int = BINS,
) -> Calibration:
    """Measure how well probabilities agree with what is true.

    Parameters
    ----------
    probabilities : (C, ...) float array
        Of each class, background first, summing to 1. For a single foreground probability
        ``p`` give ``np.stack([1 - p, p])``.
    truth : (...) integer array
        Class number of each voxel.
    where : (...) bool array, optional
        Voxels to look at, as :func:`foreground_band` returns; all by default. Without any,
        every number is nan.

    Raises
    ------
    ValueError
        Shapes differ, or a true class has no probability.

    Examples
    --------
    >>> p = np.array([[0.9, 0.2, 0.2, 0.2], [0.1, 0.8, 0.8, 0.8]])
    >>> found = calibration(p, np.array([0, 1, 1, 0]))
    >>> round(found.ece, 4), round(found.brier, 3)
    (0.125, 0.365)
    """
    if probabilities.shape[1:] != truth.shape:
        raise ValueError(f"{probabilities.shape} probabilities for a truth of {truth.shape}")
    if where is None:
        where = np.ones(truth.shape, bool)
    chosen = probabilities[:, where].astype(np.float64)  # (C, N)
    right = truth[where].astype(np.int64)  # (N,)
    if right.size and not 0 <= right.min() <= right.max() < len(chosen):
        raise ValueError(f"a true class is not among the {len(chosen)} that have a probability")
    confidence = chosen.max(axis=0, initial=0)
    hit = chosen.argmax(axis=0) == right
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    voxels = np.bincount(place, minlength=bins)
    of_bin = np.full((2, bins), np.nan)
    for row, value in zip(of_bin, (confidence, hit), strict=True):
        np.divide(np.bincount(place, value, bins), voxels, out=row, where=voxels > 0)
    if not right.size:
        return Calibration(np.nan, np.nan, np.nan, of_bin[0], of_bin[1], voxels)
    of_truth = np.take_along_axis(chosen, right[None], axis=0)[0]
    return Calibration(
        ece=float(np.nansum(np.abs(of_bin[0] - of_bin[1]) * voxels) / right.size),
        brier=float(((chosen**2).sum(axis=0) - 2 * of_truth + 1).mean()),
        nll=float(-np.log(np.maximum(of_truth, LEAST)).mean()),
        confidence=of_bin[0],
        accuracy=of_bin[1],
        voxels=voxels,
    )


def foreground_band(
    truth: np.ndarray,
    predicted: np.ndarray,
    spacing: Sequence[float],
    *,
    margin_mm: float = BAND_MM,
) -> np.ndarray:
    """Return the voxels of either foreground and those no further than a margin from it.

    Parameters
    ----------
    truth, predicted : (I, J, K) integer or bool array
        Label maps or masks; what is not 0 is foreground.
    spacing : sequence of float
        Voxel size along the array axes in mm.

    Examples
    --------
    >>> truth = np.array([[0, 0, 1, 0, 0, 0]])
    >>> foreground_band(truth, truth, (1, 2), margin_mm=4).astype(int).tolist()
    [[1, 1, 1, 1, 1, 0]]
    """
    either = (truth != 0) | (predicted != 0)
    band = np.zeros(either.shape, bool)
    box = box_of(either)
    if box is None:
        return band
    wide = tuple(  # no further than the margin can reach
        slice(max(0, along.start - int(margin_mm / size)), along.stop + int(margin_mm / size))
        for along, size in zip(box, spacing, strict=True)
    )
    band[wide] = ndimage.distance_transform_edt(~either[wide], sampling=spacing) <= margin_mm
    return band
