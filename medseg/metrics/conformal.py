"""Sets of classes that hold the true one as often as was asked for: split conformal prediction."""

from __future__ import annotations

import math

import numpy as np

from medseg.metrics.classification import ROUNDING


def conformal_threshold(probabilities: np.ndarray, labels: np.ndarray, alpha: float = 0.1) -> float:
    """Return the least probability with which a class belongs to a prediction set.

    Split conformal prediction by the probability of the true class (least ambiguous set-valued
    classifiers: Sadinle et al., JASA 2019), with the quantile for finitely many cases of
    Angelopoulos and Bates (Foundations and Trends in Machine Learning 2023, section 1): sets of
    new cases hold the true class with a probability of at least ``1 - alpha``, and at most
    ``1 / (N + 1)`` more when no two are equal, whatever the model. That holds on average over
    cases like these, which trained nothing; not for each class or group, and not for another
    scanner.

    Parameters
    ----------
    probabilities : (N, C) array
        Of held-out cases, made as those of new cases will be: calibrated before, if at all.
    labels : (N,) integer array
        Their true classes.
    alpha : float
        Share of sets that may miss the truth.

    Returns
    -------
    float
        0, so that sets hold every class, where there are too few cases to promise anything
        else: fewer than ``1 / alpha - 1``.

    Examples
    --------
    >>> sure = np.linspace(0.55, 1.0, 10)
    >>> round(conformal_threshold(np.stack([1 - sure, sure], axis=1), np.ones(10, int), 0.2), 2)
    0.6
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels, np.int64)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(f"{probabilities.shape} probabilities for labels of {labels.shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() < probabilities.shape[1]:
        raise ValueError(f"a label is not among the {probabilities.shape[1]} classes")
    if np.isnan(probabilities).any():
        raise ValueError("a probability is nan")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is between 0 and 1, not {alpha}")
    missed = math.floor((len(labels) + 1) * alpha + ROUNDING)
    if not missed:
        return 0.0
    of_truth = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    return float(np.partition(of_truth, missed - 1)[missed - 1])


def prediction_sets(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return which classes are in the set of each case: those at least that probable.

    One class: the model is sure enough. Several: it cannot tell them apart. None: no class is
    as probable as true classes are; both of the latter mean "not sure".

    Parameters
    ----------
    probabilities : (N, C) array
    threshold : float
        As :func:`conformal_threshold` returns.

    Returns
    -------
    (N, C) bool array

    Examples
    --------
    >>> prediction_sets(np.array([[0.9, 0.1], [0.55, 0.45]]), 0.4).tolist()
    [[True, False], [True, True]]
    """
    return np.asarray(probabilities) >= threshold
