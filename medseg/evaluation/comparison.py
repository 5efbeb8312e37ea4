"""Models on the same cases: the facts of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medseg.evaluation.outcome import SOME_FAILED, Evaluation
from medseg.evaluation.statistics import Paired, Ranking

FALLING = ("hd_mm", "hd95_mm", "assd_mm", "centre_mm")  # scores of which less is better
RIGHT_NOTHING = 1.0  # overlap of two empty masks where another model found something there


@dataclass(frozen=True, slots=True)
class Difference:
    """Two models on one label by one score; ``first`` and ``second`` are numbers of models.

    ``p_holm`` is p corrected for all pairs and labels of that score.
    """

    score: str
    label: int
    name: str
    first: int
    second: int
    paired: Paired
    p_holm: float


@dataclass(frozen=True, slots=True)
class Place:
    """The ranking of the models on one label by one score; label 0 is the mean of all labels."""

    score: str
    label: int
    name: str
    ranking: Ranking


@dataclass(frozen=True, slots=True)
class Gap:
    """One case and label where two models differ, second minus first."""

    case: str
    label: int
    name: str
    first: int
    second: int
    scores: tuple[float, float]


@dataclass(frozen=True, eq=False, slots=True)
class Comparison:
    """Several models on the same cases.

    Attributes
    ----------
    names : tuple of str
        Of the models.
    evaluations : tuple of Evaluation
        Each model's; the same cases in the same order.
    differences : tuple of Difference
    places : tuple of Place
    seconds : float
    """

    names: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]
    differences: tuple[Difference, ...]
    places: tuple[Place, ...]
    seconds: float = 0.0

    @property
    def scores(self) -> tuple[str, ...]:
        """The scores that are compared: Dice, HD95, ASSD and the surface Dice."""
        tolerances = self.evaluations[0].options.tolerances_mm
        return compared_scores(tolerances)

    @property
    def exit_status(self) -> int:
        """0 when every model had every case and it could be judged, else 6."""
        return SOME_FAILED if any(one.failed for one in self.evaluations) or self.lacking else 0

    @property
    def lacking(self) -> tuple[tuple[str, int], ...]:
        """The models that lack predictions, and how many; they count as empty."""
        return tuple(
            (name, count)
            for name, one in zip(self.names, self.evaluations, strict=True)
            if (count := sum(finding.code == "prediction-missing"
                             for case in one.cases for finding in case.findings))
        )  # fmt: skip

    def gaps(self, first: int, second: int, score: str = "dice") -> list[Gap]:
        """Return every case and label where two models differ, the second's worst loss first."""
        found = []
        for value, name in self.evaluations[first].labels:
            table = values_of(self.evaluations, value, score)
            for case, row in zip(shared_cases(self.evaluations), table, strict=True):
                pair = (float(row[first]), float(row[second]))
                if not np.isnan(pair).any() and pair[0] != pair[1]:
                    found.append(Gap(case, value, name, first, second, pair))
        sign = -1 if score in FALLING else 1
        return sorted(found, key=lambda gap: sign * (gap.scores[1] - gap.scores[0]))


def compared_scores(tolerances_mm: Sequence[float]) -> tuple[str, ...]:
    """Return the scores that models are compared by."""
    return ("dice", *(f"nsd_{mm:g}mm" for mm in tolerances_mm), "hd95_mm", "assd_mm")


def values_of(evaluations: Sequence[Evaluation], label: int, score: str) -> np.ndarray:
    """Return one score as ``(cases, models)`` over the cases that every model was judged on.

    A right "nothing" gets its worth where another model found something; nan is left only
    where every model is without a score.
    """
    shared = shared_cases(evaluations)
    columns = []
    for one in evaluations:
        by_case = {case.case: case for case in one.done}
        rows = [by_case[case].row(label) for case in shared]
        columns.append([row.scores.get(score, np.nan) for row in rows])
    table = np.array(columns, float).T.reshape(len(shared), len(evaluations))
    silent_rows = np.isnan(table).all(axis=1, keepdims=True)
    worth = 0.0 if score in FALLING else RIGHT_NOTHING
    return np.where(np.isnan(table) & ~silent_rows & _both_empty(evaluations, label), worth, table)


def _both_empty(evaluations: Sequence[Evaluation], label: int) -> np.ndarray:
    shared = shared_cases(evaluations)
    by_case = [{case.case: case for case in one.done} for one in evaluations]
    return np.array([[found[case].row(label).outcome == "both-empty" for found in by_case]
                     for case in shared])  # fmt: skip


def shared_cases(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return the cases that could be judged for every model."""
    done = [{case.case for case in one.done} for one in evaluations]
    return [case.case for case in evaluations[0].done if all(case.case in one for one in done)]


def patients_of(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return whose case each of the shared ones is."""
    patient = {case.case: case.patient for case in evaluations[0].done}
    return [patient[case] for case in shared_cases(evaluations)]
