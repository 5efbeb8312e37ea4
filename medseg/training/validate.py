"""How well a package does on whole held-out cases, on their own grid."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.datasets import Case, read_case
from medseg.errors import InputRefused
from medseg.evaluation.statistics import summaries, summary
from medseg.files import whole_file
from medseg.inference import Segmenter
from medseg.labels import Label
from medseg.metrics import dice
from medseg.models import Measurement
from medseg.plan import Plan

MEAN = "Dice, mean of labels"  # the figure that candidates are ranked by


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
    ignore: int | None = None,
    skip_refused: bool = False,
    mirror: bool = False,
) -> list[Score]:
    """Segment each case as a user would and score every label, or region if it predicts those.

    Parameters
    ----------
    segmenter : Segmenter
        Of the finished package: its stored weights, its engine.
    cases : sequence of Case
        That training did not see.
    progress : callable
        Called with the number of cases done and of all.
    ignore : int, optional
        Label value of voxels that nobody labelled; they are not scored.
    skip_refused : bool
        Leave out cases that cannot be read, in place of passing their refusal on.
    mirror : bool
        Average over mirrorings, as :meth:`medseg.inference.Segmenter.predict`.
    """
    plan = segmenter.package.plan
    scores = []
    for done, case in enumerate(cases):
        progress(done, len(cases))
        try:
            volume, truth = read_case(case, plan.labels, ignore)
        except InputRefused:
            if skip_refused:
                continue
            raise
        found = segmenter.predict(volume, mirror=mirror).labels
        scored = dice_of(truth.array, found.array, scored_labels(plan), ignore)
        scores += [Score(case.name, name, value) for name, value in scored.items()]
    progress(len(cases), len(cases))
    return scores


def scored_labels(plan: Plan) -> tuple[Label, ...]:
    """Return what a model is judged by: its regions if it predicts them, else its labels."""
    return plan.labels.regions if plan.outputs == "regions" else plan.labels.plain


def dice_of(
    truth: np.ndarray, found: np.ndarray, labels: Sequence[Label], ignore: int | None = None
) -> dict[str, float]:
    """Return the Dice of each label or region by its name; voxels of ``ignore`` do not count."""
    if ignore is not None:
        labelled = truth != ignore
        truth, found = truth[labelled], found[labelled]
    groups = {label.name: label.region or (label.value,) for label in labels}
    return {name: dice(np.isin(truth, group), np.isin(found, group))
            for name, group in groups.items()}  # fmt: skip


def measurement(
    measured_on: str, scores: Sequence[Score], patients: Mapping[str, str]
) -> Measurement | None:
    """Return the mean Dice of each label over the cases that hold it, and the mean of those.

    None where no mask holds any label. Intervals are those of ``medseg evaluate``; the mean of
    labels has one where every case holds every label.

    Parameters
    ----------
    measured_on : str
        What the cases are, for the card.
    scores : sequence of Score
    patients : mapping of str
        Whose each case is; a case without a patient stands for itself.
    """
    cases = {case: row for row, case in enumerate(dict.fromkeys(score.case for score in scores))}
    columns: dict[str, np.ndarray] = {}
    for score in scores:
        column = columns.setdefault(score.label, np.full(len(cases), math.nan))
        column[cases[score.case]] = score.dice
    return measurement_of(measured_on, columns, [patients.get(case) or case for case in cases])


def measurement_of(
    measured_on: str, columns: Mapping[str, np.ndarray], patients: Sequence[str]
) -> Measurement | None:
    """Do what :func:`measurement` does, of the Dice of each label, ``(cases,)`` by its name."""
    held = _held(columns)
    if not held:
        return None
    found = summaries(held, patients)
    of_cases = np.mean(list(held.values()), axis=0)  # nan where a case lacks a label
    if not np.isnan(of_cases).any():
        found[MEAN] = summary(of_cases, patients)
    intervals = {name: (one.low, one.high) for name, one in found.items() if one.patients > 1}
    return Measurement(measured_on=measured_on, figures=means(columns), intervals=intervals)


def means(columns: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the mean of each label over the cases that hold it, and the mean of those.

    The latter is 0 where no case holds any.
    """
    found = {name: float(np.nanmean(column)) for name, column in _held(columns).items()}
    return {**found, MEAN: float(np.mean(list(found.values()) or [0.0]))}


def _held(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns of labels that some case holds, by the names of their figures."""
    return {f"Dice, {label}": column
            for label, column in columns.items() if not np.isnan(column).all()}  # fmt: skip


def write_scores(path: Path, scores: Sequence[Score]) -> None:
    """Write one row a case and label as CSV, worst first."""
    ranked = sorted(scores, key=lambda score: (math.isnan(score.dice), score.dice))
    with whole_file(path) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["case", "label", "dice"])
        rows.writerows((s.case, s.label, f"{s.dice:.4f}") for s in ranked)
