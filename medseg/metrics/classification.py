"""Numbers that compare class probabilities with true classes: AUC, operating points, Brier, ECE."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from medseg.metrics.calibration import BINS, reliability

SMALLEST = 1e-12  # distance of an area from 0 and 1 where a root is sought
ROUNDING = 1e-9  # of a count: 0.95 of 20 cases are 19, whatever binary fractions make of it


@dataclass(frozen=True, eq=False, slots=True)
class RocCurve:
    """Receiver operating characteristic, a point a different score, from none to all positive.

    A case is called positive where its score is at least the threshold; the first threshold is
    infinite and calls none. Rates without a case to divide by are nan.

    Attributes
    ----------
    thresholds, false_positive_rate, sensitivity : (T,) array
    """

    thresholds: np.ndarray
    false_positive_rate: np.ndarray
    sensitivity: np.ndarray


@dataclass(frozen=True, eq=False, slots=True)
class PrecisionRecall:
    """Precision over recall, a point a different score, thresholds falling.

    Attributes
    ----------
    thresholds, recall, precision : (T,) array
    """

    thresholds: np.ndarray
    recall: np.ndarray
    precision: np.ndarray


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Where a curve is cut: positive is a score of at least ``threshold``."""

    threshold: float
    sensitivity: float
    specificity: float


def roc_auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Return the share of pairs of a positive and a negative case that the score puts in order.

    That is the area under the ROC curve (Hanley and McNeil, Radiology 1982); a pair with equal
    scores counts half. Counted in whole numbers, so it is exact. nan where either class has no
    case.

    Parameters
    ----------
    truth : (N,) bool array
        Or 0 and 1.
    score : (N,) array
        Probabilities, logits or any other number that rises with the class; no nan.

    Examples
    --------
    >>> roc_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    _, true, false = _tallies(truth, score)
    pairs = int(true[-1]) * int(false[-1]) if true.size else 0
    if not pairs:
        return math.nan
    found = np.diff(true, prepend=0)
    twice = found * (2 * (false[-1] - false) + np.diff(false, prepend=0))
    return int(twice.sum()) / (2 * pairs)


def delong_interval(
    truth: np.ndarray, score: np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of the area under the ROC curve, for independent cases.

    Variance of DeLong et al. (Biometrics 1988), from ranks as Sun and Xu (IEEE Signal Processing
    Letters 2014): one sort, however many pairs. The interval is even about the logit of the
    area, so it stays between 0 and 1 and covers better near 1 (Qin and Hotilovac, Statistical
    Methods in Medical Research 2008). Where that variance is 0 or unknown (an area of 0 or 1, a
    class with one case, one score for all), the interval is Newcombe's method 5 (Statistics in
    Medicine 2006): two perfect sets of 5 and of 500 cases are not equally sure. nan where either
    class has no case.

    Parameters
    ----------
    truth, score : (N,) array
        As for :func:`roc_auc`.
    level : float
        Confidence, between 0 and 1.

    Examples
    --------
    >>> truth = np.arange(40) % 2 == 0
    >>> low, high = delong_interval(truth, truth * 1.0)
    >>> round(low, 3), high
    (0.899, 1.0)
    """
    if not 0 < level < 1:
        raise ValueError(f"a level is between 0 and 1, not {level}")
    area = roc_auc(truth, score)
    if math.isnan(area):
        return math.nan, math.nan
    z = float(special.ndtri((1 + level) / 2))
    _, true, false = _tallies(truth, score)
    variance = _delong_variance(true, false)
    if not variance > 0 or not 0 < area < 1:
        return _newcombe(area, int(true[-1]), int(false[-1]), z)
    middle = float(special.logit(area))
    reach = z * math.sqrt(variance) / (area * (1 - area))  # delta method
    return float(special.expit(middle - reach)), float(special.expit(middle + reach))


def _delong_variance(true: np.ndarray, false: np.ndarray) -> float:
    """Return the variance of the area from counts at falling thresholds; nan of single cases."""
    positives, negatives = int(true[-1]), int(false[-1])
    if min(positives, negatives) < 2:
        return math.nan
    found, alarms = np.diff(true, prepend=0), np.diff(false, prepend=0)  # at each score
    of_positive = (negatives - false + alarms / 2) / negatives  # share of negatives that it beats
    of_negative = (true - found / 2) / positives  # share of positives that beat it
    variance = 0.0
    for share, held, many in ((of_positive, found, positives), (of_negative, alarms, negatives)):
        mean = float((share * held).sum()) / many
        variance += float((held * (share - mean) ** 2).sum()) / (many - 1) / many
    return variance


def _newcombe(area: float, positives: int, negatives: int, z: float) -> tuple[float, float]:
    """Return the areas whose own standard error, after Hanley and McNeil, just reaches ours."""
    from scipy.optimize import brentq

    half = (positives + negatives) / 2 - 1

    def error(one: float) -> float:
        spread = 1 + half * (1 - one) / (2 - one) + half * one / (1 + one)
        return z * math.sqrt(one * (1 - one) * spread / (positives * negatives))

    inside = min(max(area, SMALLEST), 1 - SMALLEST)  # 0 and 1 themselves have no error
    low = brentq(lambda one: area - one - error(one), 0, inside) if area > 0 else 0.0
    high = brentq(lambda one: one - area - error(one), inside, 1) if area < 1 else 1.0
    return float(low), float(high)


def roc_curve(truth: np.ndarray, score: np.ndarray) -> RocCurve:
    """Return sensitivity over false positive rate at every different score.

    Parameters
    ----------
    truth, score : (N,) array
        As for :func:`roc_auc`.
    """
    thresholds, true, false = _tallies(truth, score)
    return RocCurve(
        np.append(np.inf, thresholds), *(_share(np.append(0, one)) for one in (false, true))
    )


def precision_recall(truth: np.ndarray, score: np.ndarray) -> PrecisionRecall:
    """Return precision over recall at every different score.

    Parameters
    ----------
    truth, score : (N,) array
        As for :func:`roc_auc`.
    """
    thresholds, true, false = _tallies(truth, score)
    return PrecisionRecall(thresholds, _share(true), true / (true + false))


def average_precision(truth: np.ndarray, score: np.ndarray) -> float:
    """Return the mean of the precisions at which each positive case is found.

    The steps of recall times the precision there, not interpolated: the trapezoid under a
    precision-recall curve is too kind (Davis and Goadrich, ICML 2006). A score without
    information has the share of positives. nan without a positive case.

    Examples
    --------
    >>> round(average_precision(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    curve = precision_recall(truth, score)
    if not curve.recall.size or math.isnan(curve.recall[-1]):
        return math.nan
    return float((np.diff(curve.recall, prepend=0) * curve.precision).sum())


def operating_point(
    truth: np.ndarray, score: np.ndarray, specificity: float = 0.95
) -> OperatingPoint:
    """Return the point of highest sensitivity whose specificity is at least the one asked for.

    Not interpolated: it is a threshold that exists, the highest of those with that sensitivity.
    Specificity counts on the cases given; on others it will differ.

    Raises
    ------
    ValueError
        The specificity is not from 0 to 1.
    """
    if not 0 <= specificity <= 1:
        raise ValueError(f"a specificity is from 0 to 1, not {specificity}")
    curve = roc_curve(truth, score)
    if np.isnan([curve.sensitivity[-1], curve.false_positive_rate[-1]]).any():
        return OperatingPoint(math.nan, math.nan, math.nan)
    allowed = curve.false_positive_rate <= 1 - specificity + ROUNDING
    at = int(np.argmax(curve.sensitivity * allowed))
    return OperatingPoint(float(curve.thresholds[at]), float(curve.sensitivity[at]),
                          1 - float(curve.false_positive_rate[at]))  # fmt: skip


def sensitivity_at_specificity(
    truth: np.ndarray, score: np.ndarray, specificity: float = 0.95
) -> float:
    """Return the highest sensitivity whose specificity is at least the one asked for.

    The threshold that belongs to it tells :func:`operating_point`. nan where either class has
    no case.

    Examples
    --------
    >>> truth = np.array([0, 0, 0, 0, 1, 1, 1])
    >>> score = np.array([0.1, 0.2, 0.3, 0.7, 0.25, 0.6, 0.9])
    >>> sensitivity_at_specificity(truth, score, 0.75)
    0.6666666666666666
    """
    return operating_point(truth, score, specificity).sensitivity


def one_vs_rest_auc(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each class against all others.

    Parameters
    ----------
    truth : (N,) integer array
        Class numbers, 0 to C - 1.
    scores : (N, C) array
        Of each class.

    Returns
    -------
    (C,) array
        nan for a class that no case or every case belongs to.
    """
    truth, scores = _classes(truth, scores)
    return np.array([roc_auc(truth == one, scores[:, one]) for one in range(scores.shape[1])])


def macro_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean of :func:`one_vs_rest_auc` over the classes that have one.

    Each class counts alike, however rare. nan where none has.
    """
    return _mean(one_vs_rest_auc(truth, scores))


def brier(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean squared error of probabilities (Brier, Monthly Weather Review 1950).

    Parameters
    ----------
    truth : (N,) array
        bool (or 0 and 1), or class numbers.
    probabilities : (N,) or (N, C) array
        Of the positive class: the score is 0 to 1. Of every class, summing to 1: the squares
        are summed over classes, 0 to 2, twice the former where there are two.

    Examples
    --------
    >>> brier(np.array([1, 0]), np.array([0.9, 0.2]))
    0.025
    """
    if np.ndim(probabilities) == 1:
        positive, sure = _binary(truth, probabilities)
        return _mean((sure - positive) ** 2)
    truth, chosen = _classes(truth, probabilities)
    return _mean(((chosen - np.eye(chosen.shape[1])[truth]) ** 2).sum(axis=1))


def expected_calibration_error(
    truth: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> float:
    """Return how far probabilities are from shares, on average over bins of equal width.

    Parameters
    ----------
    truth : (N,) array
        bool (or 0 and 1), or class numbers.
    probabilities : (N,) or (N, C) array
        Of the positive class: mean probability against share of positives in each bin. Of every
        class: the largest probability against the share that is right (Guo et al., ICML 2017).
        For two classes these differ: the former sees errors of either side of 0.5 apart.
    bins : int
        Each weighs as many cases as it holds; few cases make the error larger than it is.

    Examples
    --------
    >>> sure = np.full(10, 0.7)
    >>> round(expected_calibration_error(np.arange(10) < 5, sure), 3)
    0.2
    """
    if np.ndim(probabilities) == 1:
        positive, sure = _binary(truth, probabilities)
        return reliability(sure, positive, bins).ece
    truth, chosen = _classes(truth, probabilities)
    return reliability(chosen.max(axis=1), chosen.argmax(axis=1) == truth, bins).ece


def confusion_table(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return how many cases of each true class were given each predicted class.

    Parameters
    ----------
    truth, predicted : (N,) integer array
        Class numbers, 0 to ``classes`` - 1.

    Returns
    -------
    (classes, classes) int array
        True classes along the first axis.

    Examples
    --------
    >>> confusion_table(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    truth, predicted = np.asarray(truth, np.int64), np.asarray(predicted, np.int64)
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ValueError(f"{predicted.shape} predicted classes for a truth of {truth.shape}")
    both = np.concatenate([truth, predicted])
    if both.size and not 0 <= both.min() <= both.max() < classes:
        raise ValueError(f"a class is not among the {classes} there are")
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def balanced_accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean over the true classes of the share that was recognised.

    A model that always says the same scores 1 over the number of classes, however rare the
    others are.

    Examples
    --------
    >>> balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]))
    0.5
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ValueError(f"{predicted.shape} predicted classes for a truth of {truth.shape}")
    return _mean(np.array([(predicted[truth == one] == one).mean() for one in np.unique(truth)]))


def _tallies(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the different scores, falling, and true and false positives at each as threshold."""
    positive, score = _binary(truth, score)
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if score.size else []
    true = np.cumsum(positive, dtype=np.int64)[last]
    return score[last], true, np.asarray(last, np.int64) + 1 - true


def _binary(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, score = np.asarray(truth), np.asarray(score)
    if truth.ndim != 1 or truth.shape != score.shape:
        raise ValueError(f"{score.shape} scores for a truth of {truth.shape}")
    positive = truth.astype(bool)
    if (positive != truth).any():
        raise ValueError("a truth of two classes is bool, or 0 and 1")
    if np.isnan(score).any():
        raise ValueError("a score is nan")
    return positive, score if score.dtype.kind == "f" else score.astype(np.float64)


def _classes(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, scores = np.asarray(truth), np.asarray(scores, np.float64)
    if scores.ndim != 2 or truth.shape != scores.shape[:1]:
        raise ValueError(f"{scores.shape} scores for a truth of {truth.shape}")
    number = truth.astype(np.int64)
    if number.size and not 0 <= number.min() <= number.max() < scores.shape[1]:
        raise ValueError(f"a true class is not among the {scores.shape[1]} that have a score")
    if np.isnan(scores).any():
        raise ValueError("a score is nan")
    return number, scores


def _share(counts: np.ndarray) -> np.ndarray:
    """Return counts over the last of them, nan where that is 0."""
    whole = counts[-1] if counts.size else 0
    return counts / whole if whole else np.full(counts.shape, np.nan)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
