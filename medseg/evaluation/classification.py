"""Class probabilities against true classes: the facts of an evaluation, and its scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medseg.errors import InputRefused
from medseg.evaluation.outcome import REFUSED, SOME_FAILED, by_number
from medseg.evaluation.statistics import resampled
from medseg.findings import Finding
from medseg.metrics.calibration import LEAST
from medseg.metrics.classification import (
    average_precision,
    balanced_accuracy,
    brier,
    confusion_table,
    delong_interval,
    expected_calibration_error,
    macro_auc,
    roc_auc,
    sensitivity_at_specificity,
)

SPECIFICITY = 0.95  # at which sensitivities are told


@dataclass(frozen=True, slots=True)
class Score:
    """A number with its 95 % interval; nan where there is nothing to say."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, slots=True)
class ClassScores:
    """One class against all others: how many cases it has, and its scores."""

    name: str
    cases: int
    scores: dict[str, Score]


@dataclass(frozen=True, eq=False, slots=True)
class Classification:
    """Probabilities against true classes.

    Attributes
    ----------
    classes : tuple of str
    cases, patients, groups : tuple of str
        Of each case that has both a truth and probabilities; groups are empty without ``by``.
    truth : (N,) int array
        Number of the true class.
    probabilities : (N, C) array
        Summing to 1.
    images : tuple of Path or None
    refused : tuple of (str, InputRefused)
        The cases that have no scores, and why.
    findings : tuple of Finding
    by : str
        What the cases are grouped by; empty when they are not.
    overall : dict of Score
        Of all classes together.
    by_class : tuple of ClassScores
        Of each class against the others.
    by_group : dict of dict of Score
        Of all classes together in each group, sorted.
    seconds : float
    """

    classes: tuple[str, ...]
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    groups: tuple[str, ...]
    truth: np.ndarray
    probabilities: np.ndarray
    images: tuple[Path | None, ...]
    refused: tuple[tuple[str, InputRefused], ...] = ()
    findings: tuple[Finding, ...] = ()
    by: str = ""
    overall: Mapping[str, Score] = field(default_factory=dict)
    by_class: tuple[ClassScores, ...] = ()
    by_group: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each case, ``(N,)``."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def of_truth(self) -> np.ndarray:
        """The probability that each case's true class was given, ``(N,)``."""
        of_truth = np.take_along_axis(self.probabilities, self.truth[:, None], axis=1)
        return np.asarray(of_truth[:, 0])

    @property
    def confusion(self) -> np.ndarray:
        """Cases by true (rows) and predicted class."""
        return confusion_table(self.truth, self.predicted, len(self.classes))

    @property
    def exit_status(self) -> int:
        """0 when every case has scores, 6 when some have none, 3 when none has."""
        if not self.refused:
            return 0
        return SOME_FAILED if self.cases else REFUSED

    def chosen(self, group: str) -> np.ndarray:
        """Return which cases are of a group, ``(N,)``."""
        return np.array([one == group for one in self.groups], bool)


Scoring = Callable[[np.ndarray, np.ndarray], float]
"""Of true classes ``(N,)`` and probabilities ``(N, C)``."""


def _log_loss(truth: np.ndarray, probabilities: np.ndarray) -> float:
    of_truth = np.take_along_axis(probabilities, truth[:, None], axis=1)
    return float(-np.log(np.maximum(of_truth, LEAST)).mean())


OVERALL: dict[str, Scoring] = {
    "macro_auc": macro_auc,
    "accuracy": lambda truth, sure: float((sure.argmax(axis=1) == truth).mean()),
    "balanced_accuracy": lambda truth, sure: balanced_accuracy(truth, sure.argmax(axis=1)),
    "brier": brier,
    "log_loss": _log_loss,
    "ece": expected_calibration_error,
}

# of "is it this class" (N,), its probability (N,) and "was it called this class" (N,)
OF_CLASS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "auc": lambda is_it, sure, called: roc_auc(is_it, sure),
    "average_precision": lambda is_it, sure, called: average_precision(is_it, sure),
    "sensitivity": lambda is_it, sure, called: _part(called, is_it),
    "specificity": lambda is_it, sure, called: _part(~called, ~is_it),
    "precision": lambda is_it, sure, called: _part(is_it, called),
    "sensitivity_at_95": lambda is_it, sure, called: sensitivity_at_specificity(
        is_it, sure, SPECIFICITY
    ),
    "ece": lambda is_it, sure, called: expected_calibration_error(is_it, sure),
}


def _of_class(score: Callable[[np.ndarray, np.ndarray, np.ndarray], float], number: int) -> Scoring:
    return lambda truth, sure: score(
        truth == number, sure[:, number], sure.argmax(axis=1) == number
    )


def _part(hit: np.ndarray, among: np.ndarray) -> float:
    return float(hit[among].mean()) if among.any() else math.nan


def scores_of(result: Classification) -> dict[str, Any]:
    """Return ``overall``, ``by_class`` and ``by_group`` of an evaluation that lacks them."""
    everyone = np.ones(len(result.cases), bool)
    groups = sorted(set(result.groups) - {""}, key=by_number)
    return {
        "overall": _scored(OVERALL, result, everyone),
        "by_class": tuple(_class_scores(result, n) for n in range(len(result.classes))),
        "by_group": {group: _scored(OVERALL, result, result.chosen(group)) for group in groups},
    }


def _class_scores(result: Classification, number: int) -> ClassScores:
    is_it, everyone = result.truth == number, np.ones(len(result.cases), bool)
    scoring = {key: _of_class(one, number) for key, one in OF_CLASS.items()}
    independent = len(set(result.patients)) == len(result.cases)
    if independent:  # as DeLong takes them to be
        del scoring["auc"]
    scores = _scored(scoring, result, everyone)
    if independent:
        sure = result.probabilities[:, number]
        scores["auc"] = Score(roc_auc(is_it, sure), *delong_interval(is_it, sure))
    return ClassScores(result.classes[number], int(is_it.sum()), scores)


def _scored(
    scoring: Mapping[str, Scoring], result: Classification, some: np.ndarray
) -> dict[str, Score]:
    """Return each score of some cases with its interval over resampled patients."""
    truth, probabilities = result.truth[some], result.probabilities[some]
    patients = np.asarray(result.patients, dtype=str)[some]

    def of(drawn: np.ndarray) -> list[float]:
        return [score(truth[drawn], probabilities[drawn]) for score in scoring.values()]

    low, high = resampled(
        of,
        np.unique(patients, return_inverse=True)[1].ravel(),
        about=[name == "ece" for name in scoring],
    )
    values = of(np.arange(len(truth)))
    return {
        name: Score(*one)
        for name, *one in zip(scoring, values, low.tolist(), high.tolist(), strict=True)
    }
