"""What an evaluation found: each case's scores, and the summaries over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medseg.evaluation.judging import Judged, Options
from medseg.evaluation.match import Pair
from medseg.evaluation.statistics import Summary, summaries

OUTCOMES = ("scored", "both-empty", "missed", "false-alarm")
REFUSED, SOME_FAILED = 3, 6  # exit statuses


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """One label over all cases.

    Attributes
    ----------
    value, name : int, str
    outcomes : dict of int
        Cases by outcome: scored, both-empty, missed, false-alarm.
    scores : dict of Summary
        Each score over the cases where it counts.
    present : dict of Summary
        Likewise, over the cases whose reference has the label.
    """

    value: int
    name: str
    outcomes: dict[str, int]
    scores: dict[str, Summary]
    present: dict[str, Summary]


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """Predictions against references.

    Attributes
    ----------
    pairs : tuple of Pair
        The files of each case.
    cases : tuple of Judged
        The same cases with their scores, or why they have none.
    options : Options
    by : str
        What the cases are grouped by; empty when they are not.
    seconds : float
    """

    pairs: tuple[Pair, ...]
    cases: tuple[Judged, ...]
    options: Options
    by: str = ""
    seconds: float = 0.0

    @property
    def done(self) -> tuple[Judged, ...]:
        """The cases that have scores."""
        return tuple(case for case in self.cases if case.refusal is None)

    @property
    def failed(self) -> tuple[Judged, ...]:
        """The cases that have none."""
        return tuple(case for case in self.cases if case.refusal is not None)

    @property
    def exit_status(self) -> int:
        """0 when every case has scores, 6 when some have none, 3 when none has."""
        if not self.failed:
            return 0
        return SOME_FAILED if self.done else REFUSED

    @property
    def labels(self) -> tuple[tuple[int, str], ...]:
        """Value and name of each label and region, in order."""
        return tuple((row.label, row.name) for case in self.done[:1] for row in case.rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all scores, in the order in which they were first met."""
        names = {name: None for case in self.done for row in case.rows for name in row.scores}
        return tuple(names)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, sorted."""
        return tuple(sorted({case.group for case in self.done} - {""}, key=by_number))

    def values(self, label: int, score: str, cases: Sequence[Judged] | None = None) -> np.ndarray:
        """Return one score of one label in each case, nan where it does not count."""
        cases = self.done if cases is None else cases
        return np.array([case.row(label).scores.get(score, np.nan) for case in cases], float)

    def summaries(self, group: str | None = None) -> list[LabelSummary]:
        """Return the summary of each label, over all cases or those of one group."""
        cases = [case for case in self.done if group is None or case.group == group]
        return [self._summary(value, name, cases) for value, name in self.labels]

    def _summary(self, value: int, name: str, cases: Sequence[Judged]) -> LabelSummary:
        met = [case.row(value).outcome for case in cases]
        held = np.isin(met, ("scored", "missed"))
        counts = Counter(met)
        scores = {score: self.values(value, score, cases) for score in self.columns}
        present = {score: np.where(held, one, np.nan) for score, one in scores.items()}
        patients = [case.patient for case in cases]
        return LabelSummary(
            value, name, {outcome: counts[outcome] for outcome in OUTCOMES},
            summaries(scores, patients), summaries(present, patients),
        )  # fmt: skip


def by_number(group: str) -> tuple[bool, float, str]:
    """Sort bands of numbers by their start, and words after them."""
    try:
        return (False, float(group.split()[0]), group)
    except (ValueError, IndexError):
        return (True, 0.0, group)
