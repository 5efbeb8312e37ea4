"""Choosing among trainings, their pairs and post-processing by the cases that each held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.errors import PlanRefused
from medseg.evaluation.statistics import Paired, paired
from medseg.files import make_folder
from medseg.inference.engines import EngineName
from medseg.inference.postprocess import postprocessed
from medseg.labels import Label
from medseg.metrics.lesion import lesions_of
from medseg.models import (
    Evidence,
    FillHoles,
    LargestComponent,
    MinimumVolume,
    ModelPackage,
    Step,
    ensembled,
)
from medseg.models.ensemble import card_of
from medseg.plan import Plan
from medseg.training.held_out import Candidate, HeldOut, candidates_of, segment_held_out
from medseg.training.progress import Progress, silent
from medseg.training.runs import Configuration, open_runs
from medseg.training.validate import MEAN, dice_of, means, measurement_of, scored_labels

RIGHT_NOTHING = 1.0  # Dice of an empty mask where nothing is, if another candidate found something
SMALL_SHARE = 5  # percent of the true components may be smaller than the least volume tried


@dataclass(frozen=True, eq=False, slots=True)
class Best:
    """What was chosen, and why.

    Attributes
    ----------
    package : ModelPackage
    evidence : tuple of Evidence
        Of every candidate, in the order of trying; also kept in the package.
    configurations : tuple of Configuration
        Those that were compared.
    cases, left_out : int
        Held-out cases that every configuration has, and those that only some have.
    """

    package: ModelPackage
    evidence: tuple[Evidence, ...]
    configurations: tuple[Configuration, ...]
    cases: int
    left_out: int


def find_best(
    runs: Sequence[str | Path],
    out: str | Path,
    *,
    data: str | Path | None = None,
    name: str = "",
    version: str = "1",
    engine: EngineName = "auto",
    cache: Path | None = None,
    progress: Progress = silent,
) -> Best:
    """Choose configuration and post-processing by cross-validation; write what won as a package.

    Every held-out case is segmented by the networks that did not see it. Of the single
    configurations that with the best mean Dice is taken; the best pair in its place, and each
    step of post-processing on top, only where the 95 % interval of the mean gain over patients
    lies above 0 (BCa bootstrap) and, for steps, no label's mean falls. nnU-Net takes any gain
    above 1e-9; what helps two patients alone, of however many, is not taken here.

    Steps are tried one after the other, each on what was taken before: largest component of all
    foreground, then for each label largest component, least volume and holes.

    Parameters
    ----------
    runs : sequence of path
        Folders that ``medseg train`` wrote: folds of one configuration or of several.
    out : str or Path
        Folder or zip of the package. Masks of held-out cases are kept beside it, in
        ``<out>.held-out``, for the next call.
    data : path, optional
        Where the data set lies, if not where the first config says.
    name, version : str
        Of the model; the name of the first run's when left out.
    engine, cache
        As :meth:`medseg.Segmenter.load`.
    progress : callable
        Called with stage, steps done, all steps and a note.

    Raises
    ------
    PlanRefused
        ``cases-not-shared``: no case was held out by every configuration. Others as
        :func:`medseg.training.runs.open_runs`.
    """
    out = Path(out)
    dataset, configurations = open_runs(runs, data)
    held_out = {case for one in configurations for case in one.held_out}
    folder = make_folder(out.with_name(f"{out.name}.held-out"))
    cases = segment_held_out(
        dataset, configurations, folder, engine=engine, cache=cache,
        progress=lambda done, total: progress("predict", done, total, ""),
    )  # fmt: skip
    if not cases:
        raise PlanRefused("cases-not-shared", "No case was held out by every configuration",
                          do="Give the same folds of each")  # fmt: skip
    plan = configurations[0].runs[0].package.plan
    winner, evidence = _chosen(cases, configurations, plan, progress)
    steps, scores, more = _steps_chosen(cases, winner, plan, progress)
    members = [run.package for n in winner for run in configurations[n].runs]
    evidence = (*evidence, *more)
    measured = measurement_of(
        f"cross-validation: {len(cases)} cases, each segmented by networks that did "
        "not see it; the choice was made on the same cases",
        scores.columns, scores.patients,
    )  # fmt: skip
    package = ensembled(
        members, out, name=name, version=version, postprocessing=steps,
        card=card_of(members, [measured] if measured else []), evidence=evidence,
    )  # fmt: skip
    return Best(package, evidence, configurations, len(cases), len(held_out) - len(cases))


@dataclass(frozen=True, eq=False, slots=True)
class _Scores:
    """Dice of every case and label, by some candidate."""

    table: np.ndarray  # (cases, labels), nan where both masks are empty
    labels: tuple[Label, ...]
    patients: tuple[str, ...]

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Dice of every case by the name of the label."""
        names = [label.name for label in self.labels]
        return dict(zip(names, self.table.T, strict=True))

    @property
    def mean(self) -> float:
        return means(self.columns)[MEAN]

    def against(self, before: _Scores) -> tuple[_Scores, _Scores, Paired]:
        """Return both with a right "nothing" scored where the other found something; the gain."""
        now, then = _with_right_nothing(self, before)
        rows = ~np.isnan(now.table).all(axis=1)
        first, second = (np.nanmean(one.table[rows], axis=1) for one in (then, now))
        whose = [patient for patient, row in zip(self.patients, rows, strict=True) if row]
        return now, then, paired(first, second, whose)


def _with_right_nothing(one: _Scores, other: _Scores) -> tuple[_Scores, _Scores]:
    alone = [np.isnan(a.table) & ~np.isnan(b.table) for a, b in ((one, other), (other, one))]
    first, second = (
        _Scores(np.where(where, RIGHT_NOTHING, scores.table), scores.labels, scores.patients)
        for where, scores in zip(alone, (one, other), strict=True)
    )
    return first, second


def _scored(cases: Sequence[HeldOut], masks: Iterator[np.ndarray], plan: Plan) -> _Scores:
    labels = scored_labels(plan)
    rows = [list(dice_of(case.truth.array, mask, labels, case.ignore).values())
            for case, mask in zip(cases, masks, strict=True)]  # fmt: skip
    return _Scores(np.array(rows), labels, tuple(case.patient for case in cases))


def _chosen(
    cases: Sequence[HeldOut],
    configurations: Sequence[Configuration],
    plan: Plan,
    progress: Progress,
) -> tuple[Candidate, tuple[Evidence, ...]]:
    """Return the best configuration or pair, and the evidence of all."""
    names = [one.name for one in configurations]
    candidates = candidates_of(len(configurations))
    scores: dict[Candidate, _Scores] = {}
    for done, candidate in enumerate(candidates):
        progress("compare", done, len(candidates), "")
        masks = (case.mask(candidate, plan.labels).array for case in cases)
        scores[candidate] = _scored(cases, masks, plan)
    singles = [one for one in candidates if len(one) == 1]
    pairs = [one for one in candidates if len(one) == 2]
    best = max(singles, key=lambda one: scores[one].mean)  # the first of equal ones
    against = {one: scores[one].against(scores[best]) for one in candidates if one != best}
    winner: Candidate = best
    if pairs:
        first = max(pairs, key=lambda one: scores[one].mean)
        if against[first][2].low > 0:
            winner = first
    evidence = []
    for one in candidates:
        words = " + ".join(names[n] for n in one)
        gained = against[one][2] if one in against else None
        evidence.append(_evidence(words, scores[one], one == winner, gained,
                                  names[best[0]] if gained else ""))  # fmt: skip
    evidence.sort(key=lambda one: one.chosen)  # what the steps start from stands last
    return winner, tuple(evidence)


def _evidence(
    words: str, scores: _Scores, chosen: bool, gained: Paired | None, against: str
) -> Evidence:
    numbers = (gained.difference, gained.low, gained.high) if gained else ()
    gain = [None if np.isnan(number) else round(number, 6) for number in numbers]
    told = dict(zip(("gain", "low", "high"), gain, strict=False))
    return Evidence(candidate=words, against=against, chosen=chosen, cases=len(scores.table),
                    figures=means(scores.columns), **told)  # fmt: skip


def _steps_chosen(
    cases: Sequence[HeldOut], winner: Candidate, plan: Plan, progress: Progress
) -> tuple[tuple[Step, ...], _Scores, tuple[Evidence, ...]]:
    """Return the steps of post-processing that help, the scores with them, and all evidence."""
    taken: list[Step] = []
    evidence = []
    masks = (case.mask(winner, plan.labels).array for case in cases)
    before = _scored(cases, masks, plan)
    tried = steps_to_try(cases, plan)
    for done, step in enumerate(tried):
        words = step.words(plan.labels)
        progress("post-process", done, len(tried), words)
        found = (postprocessed(case.mask(winner, plan.labels), [*taken, step])[0].array
                 for case in cases)  # fmt: skip
        scored = _scored(cases, found, plan)
        now, then, gained = scored.against(before)
        falls = (np.nanmean(now.table, axis=0) < np.nanmean(then.table, axis=0)).any()
        helps = gained.low > 0 and not falls
        against = taken[-1].words(plan.labels) if taken else "no post-processing"
        evidence.append(_evidence(words, now, bool(helps), gained, against))
        if helps:
            taken.append(step)
            before = scored
    progress("post-process", len(tried), len(tried), "")
    return tuple(taken), before, tuple(evidence)


def steps_to_try(cases: Sequence[HeldOut], plan: Plan) -> list[Step]:
    """Return the steps that are worth a try, in order.

    The least volume of a label is that which 5 % of its true components lie below: one value
    and not a search, which would fit itself to the cases.
    """
    labels = scored_labels(plan)
    steps: list[Step] = [LargestComponent()] if len(labels) > 1 else []
    for label in labels:
        steps.append(LargestComponent(label=label.value))
        ml = _small_ml(cases, label)
        if ml > 0:
            steps.append(MinimumVolume(label=label.value, ml=ml))
        steps.append(FillHoles(label=label.value))
    return steps


def _small_ml(cases: Sequence[HeldOut], label: Label) -> float:
    volumes = [
        lesions_of(np.isin(case.truth.array, label.region or (label.value,))).voxels
        * case.truth.geometry.voxel_mm3 / 1000
        for case in cases
    ]  # fmt: skip
    found = np.concatenate(volumes)
    return float(f"{np.percentile(found, SMALL_SHARE):.3g}") if len(found) else 0.0
