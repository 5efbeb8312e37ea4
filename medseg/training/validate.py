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
from medseg.evaluation.statistics import resampled
from medseg.files import whole_file
from medseg.inference import Segmenter
from medseg.labels import Label
from medseg.metrics import dice
from medseg.models import Measurement
from medseg.plan import Plan


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

    None where no mask holds any label.

    Parameters
    ----------
    measured_on : str
        What the cases are, for the card.
    scores : sequence of Score
    patients : mapping of str
        Whose each case is. Intervals are those of resampled patients (percentile bootstrap,
        95 %); a case without a patient stands for itself.
    """
    labels = list(dict.fromkeys(s.label for s in scores if not math.isnan(s.dice)))
    cases = list(dict.fromkeys(s.case for s in scores if s.label in labels))
    if not labels:
        return None
    table = np.full((len(cases), len(labels)), math.nan)
    for score in scores:
        if score.label in labels:
            table[cases.index(score.case), labels.index(score.label)] = score.dice
    held, table = ~np.isnan(table), np.nan_to_num(table)

    def means(rows: np.ndarray) -> list[float]:
        with np.errstate(invalid="ignore"):  # no case of a label was drawn
            of_labels = table[rows].sum(axis=0) / held[rows].sum(axis=0)
        return [*of_labels, np.nanmean(of_labels)]

    names = [*(f"Dice, {label}" for label in labels), "Dice, mean of labels"]
    whose = np.unique([patients.get(case) or case for case in cases], return_inverse=True)[1]
    low, high = resampled(means, whose)
    ends = zip(names, low.tolist(), high.tolist(), strict=True)
    return Measurement(
        measured_on=measured_on,
        figures=dict(zip(names, map(float, means(np.arange(len(cases)))), strict=True)),
        intervals={name: (least, most) for name, least, most in ends if not math.isnan(least)},
    )


def write_scores(path: Path, scores: Sequence[Score]) -> None:
    """Write one row a case and label as CSV, worst first."""
    ranked = sorted(scores, key=lambda score: (math.isnan(score.dice), score.dice))
    with whole_file(path) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["case", "label", "dice"])
        rows.writerows((s.case, s.label, f"{s.dice:.4f}") for s in ranked)
