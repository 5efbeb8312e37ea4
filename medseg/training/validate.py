"""How well a package does on whole held-out cases, on their own grid."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.datasets import Case, read_case
from medseg.errors import InputRefused
from medseg.files import whole_file
from medseg.inference import Segmenter
from medseg.metrics import dice


@dataclass(frozen=True, slots=True)
class Score:
    """Dice of one label of one case; nan where neither mask holds it."""

    case: str
    label: str
    dice: float


def validate(
    segmenter: Segmenter,
    cases: Sequence[Case],
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    skip_refused: bool = False,
) -> list[Score]:
    """Segment each case as a user would and score every label.

    Parameters
    ----------
    segmenter : Segmenter
        Of the finished package: its stored weights, its engine.
    cases : sequence of Case
        That training did not see.
    progress : callable
        Called with the number of cases done and of all.
    skip_refused : bool
        Leave out cases that cannot be read, in place of passing their refusal on.
    """
    labels = segmenter.package.plan.labels
    scores = []
    for done, case in enumerate(cases):
        progress(done, len(cases))
        try:
            volume, truth = read_case(case, labels)
        except InputRefused:
            if skip_refused:
                continue
            raise
        found = segmenter.predict(volume).labels
        scores += [
            Score(case.name, label.name, dice(truth.array == label.value,
                                              found.array == label.value))
            for label in labels.plain
        ]  # fmt: skip
    progress(len(cases), len(cases))
    return scores


def mean_dice(scores: Sequence[Score]) -> dict[str, float]:
    """Return the mean Dice of each label over the cases that hold it, and their mean."""
    labels = list(dict.fromkeys(score.label for score in scores))
    means = {}
    for label in labels:
        held = [s.dice for s in scores if s.label == label and not math.isnan(s.dice)]
        if held:
            means[f"Dice, {label}"] = float(np.mean(held))
    if means:
        means["Dice, mean of labels"] = float(np.mean(list(means.values())))
    return means


def write_scores(path: Path, scores: Sequence[Score]) -> None:
    """Write one row a case and label as CSV, worst first."""
    ranked = sorted(scores, key=lambda score: (math.isnan(score.dice), score.dice))
    with whole_file(path) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["case", "label", "dice"])
        rows.writerows((s.case, s.label, f"{s.dice:.4f}") for s in ranked)
