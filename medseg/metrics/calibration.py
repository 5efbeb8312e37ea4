"""Whether probabilities mean what they say, and how to mend them: ECE, reliability, fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medseg.metrics.box import box_of

BINS = 15  # of equal width, as Guo et al., ICML 2017
BAND_MM = 5.0  # around the foreground; further off background drowns every error
LEAST = 1e-7  # probability taken for 0 in logarithms: half a float32 step below 1


TEMPERATURES = 0.05, 20.0  # beyond, the cases are told apart without fault, or not at all


@dataclass(frozen=True, eq=False, slots=True)
class Reliability:
    """What probabilities say against what happens, bin by bin.

    Attributes
    ----------
    ece : float
        Mean distance of the two, weighted by the number in each bin; nan of nothing.
    probability, share : (B,) array
        Mean probability and share that came true of each bin; nan where it is empty.
    number : (B,) int array
        How many fell into each bin.
    """

    ece: float
    probability: np.ndarray
    share: np.ndarray
    number: np.ndarray


def reliability(sure: np.ndarray, right: np.ndarray, bins: int = BINS) -> Reliability:
    """Sort probabilities into bins of equal width and compare each with what happened.

    Parameters
    ----------
    sure : (N,) float array
        Probabilities, 0 to 1; 1 falls into the last bin.
    right : (N,) bool array
        Whether what they speak of came true.
    """
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    number = np.bincount(place, minlength=bins)
    of_bin = np.full((2, bins), np.nan)
    for row, value in zip(of_bin, (sure, right), strict=True):
        np.divide(np.bincount(place, value, bins), number, out=row, where=number > 0)
    gap = np.nansum(np.abs(of_bin[0] - of_bin[1]) * number)
    return Reliability(float(gap / sure.size) if sure.size else np.nan, *of_bin, number)


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
    found = reliability(confidence, hit, bins)
    if not right.size:
        return Calibration(np.nan, np.nan, np.nan, found.probability, found.share, found.number)
    of_truth = np.take_along_axis(chosen, right[None], axis=0)[0]
    return Calibration(
        ece=found.ece,
        brier=float(((chosen**2).sum(axis=0) - 2 * of_truth + 1).mean()),
        nll=float(-np.log(np.maximum(of_truth, LEAST)).mean()),
        confidence=found.probability,
        accuracy=found.share,
        voxels=found.number,
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


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that makes ``softmax(logits / temperature)`` fit best.

    Least negative log-likelihood (Guo et al., ICML 2017), which is convex in the inverse
    temperature, so there is one best. Above 1 the network was too sure. The order of classes
    stays, and so does every decision. Fit on cases that trained nothing; it repairs no shift to
    other scanners.

    Parameters
    ----------
    logits : (N, C) or (N,) array
        Of each class, or for two classes the one logit of the positive class.
    labels : (N,) integer or bool array
        Class numbers.

    Returns
    -------
    float
        0.05 to 20; the ends where no temperature between is best: every case is right, or the
        logits say nothing of the labels.

    Raises
    ------
    ValueError
        There is no case, shapes differ, a logit is not finite or a label has none.

    Examples
    --------
    >>> logits = np.array([[3.0, 0.0]] * 10)  # says 95 %
    >>> temperature = fit_temperature(logits, np.arange(10) < 2)
    >>> round(float(1 / (1 + np.exp(-3 / temperature))), 3)
    0.8
    """
    from scipy.optimize import brentq
    from scipy.special import softmax

    chosen = np.asarray(logits, np.float64)
    if chosen.ndim == 1:
        chosen = np.stack([np.zeros_like(chosen), chosen], axis=1)
    labels = _numbers(labels, chosen)
    if not np.isfinite(chosen).all():
        raise ValueError("a logit is not finite")
    chosen = chosen - np.take_along_axis(chosen, labels[:, None], axis=1)  # of the truth: 0

    def slope(inverse: float) -> float:
        """Return how the loss rises with the inverse temperature."""
        return float((softmax(chosen * inverse, axis=1) * chosen).sum(axis=1).mean())

    coldest, hottest = (1 / one for one in TEMPERATURES)
    if slope(hottest) >= 0:
        return TEMPERATURES[1]
    if slope(coldest) <= 0:
        return TEMPERATURES[0]
    return float(1 / brentq(slope, hottest, coldest, xtol=1e-9))


@dataclass(frozen=True, slots=True)
class Isotonic:
    """A rising curve from a probability to a better one, for one class or for each.

    Attributes
    ----------
    curves : tuple of (tuple of float, tuple of float)
        Probabilities, rising, and what they become, one pair a class; straight lines between,
        level beyond the ends.
    """

    curves: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the mended probabilities, ``(N,)`` or ``(N, C)`` as they came.

        Those of several classes are made to sum to 1; where all became 0, they stay as they
        were.
        """
        given = np.asarray(probabilities, np.float64)
        if given.ndim == 1:
            (curve,) = self.curves
            return np.interp(given, *curve)
        columns = zip(given.T, self.curves, strict=True)
        mended = np.stack([np.interp(one, *curve) for one, curve in columns], axis=1)
        whole = mended.sum(axis=1, keepdims=True)
        return np.divide(mended, whole, out=given.copy(), where=whole > 0)


def fit_isotonic(probabilities: np.ndarray, labels: np.ndarray) -> Isotonic:
    """Return the rising curve that fits probabilities best to what is true.

    Least squares by pooling adjacent violators (Zadrozny and Elkan, KDD 2002), class against
    rest where there are several. Follows any shape, so it wants many held-out cases (hundreds a
    class), and says exactly 0 and 1 at the ends.

    Parameters
    ----------
    probabilities : (N,) or (N, C) array
        Of the positive class, or of each.
    labels : (N,) integer or bool array
        Class numbers; 0 and 1 for the former.

    Raises
    ------
    ValueError
        There is no case, shapes differ, a probability is nan or a label has none.

    Examples
    --------
    >>> mend = fit_isotonic(np.array([0.1, 0.6, 0.6, 0.9]), np.array([0, 0, 1, 1]))
    >>> mend(np.array([0.0, 0.6, 0.75])).round(3).tolist()
    [0.0, 0.5, 0.75]
    """
    given = np.asarray(probabilities, np.float64)
    labels = _numbers(labels, given if given.ndim == 2 else np.zeros((len(given), 2)))
    if np.isnan(given).any():
        raise ValueError("a probability is nan")
    if given.ndim == 1:
        return Isotonic((_rising(given, labels == 1),))
    return Isotonic(tuple(_rising(one, labels == n) for n, one in enumerate(given.T)))


def _rising(sure: np.ndarray, right: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    from scipy.optimize import isotonic_regression

    at, place, times = np.unique(sure, return_inverse=True, return_counts=True)
    share = np.bincount(place.ravel(), right) / times  # equal probabilities become one
    found = isotonic_regression(share, weights=times)
    edges = found.blocks  # straight lines between the ends of level parts
    kept = np.unique(np.concatenate([edges[:-1], edges[1:] - 1]))
    return tuple(at[kept].tolist()), tuple(found.x[kept].tolist())


def _numbers(labels: np.ndarray, of_classes: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels).astype(np.int64)
    if not labels.size or of_classes.ndim != 2 or labels.shape != of_classes.shape[:1]:
        raise ValueError(f"{of_classes.shape} values for labels of {labels.shape}")
    if not 0 <= labels.min() <= labels.max() < of_classes.shape[1]:
        raise ValueError(f"a label is not among the {of_classes.shape[1]} classes")
    return labels
