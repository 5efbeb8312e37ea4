"""Models against one another on the same cases: differences, their uncertainty, ranks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from medseg.errors import InputRefused, OutputFailed
from medseg.evaluation.comparison import (
    FALLING,
    Comparison,
    Difference,
    Place,
    compared_scores,
    patients_of,
    shared_cases,
    values_of,
)
from medseg.evaluation.evaluate import Progress, described, judged_cases, silent
from medseg.evaluation.judging import Options, completed
from medseg.evaluation.match import matched
from medseg.evaluation.outcome import Evaluation
from medseg.evaluation.statistics import holm, paired, ranking
from medseg.files import make_folder, write_json

DIFFERENCES, COMPARISON, COMPARED = "differences.csv", "comparison.json", "comparison.html"


def compare(
    models: Sequence[str | Path],
    references: str | Path,
    *,
    out: str | Path | None = None,
    names: Sequence[str] = (),
    images: str | Path | None = None,
    options: Options | None = None,
    table: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Comparison:
    """Compare the predictions of two or more models on the same cases.

    A case that one model lacks counts as one where it found nothing: leaving it out would
    reward it. Where two masks are empty and another model found something, the right answer
    counts as an overlap of 1 and a distance of 0; where all are empty the case is left out.

    Parameters
    ----------
    models : sequence of str or Path
        Predictions of each, as for :func:`medseg.evaluate`.
    references, images, options, table, overwrite, progress
        As for :func:`medseg.evaluate`.
    out : str or Path, optional
        Folder for ``differences.csv``, ``comparison.json`` and ``comparison.html``.
    names : sequence of str
        Of the models; their folders' names by default.

    Raises
    ------
    InputRefused
        ``models-too-few``; ``names-differ``; what :func:`medseg.evaluate` refuses.
    OutputFailed
        ``output-exists``, ``write-failed``.
    """
    started = time.perf_counter()
    if len(models) < 2:
        raise InputRefused("models-too-few", "There is one model and nothing to compare it with",
                           do="Give two or more, then the references")  # fmt: skip
    called = _names(models, names)
    folder = None if out is None else _free(Path(out), overwrite)
    options = replace(options or Options(), missing_as_empty=True)
    evaluations = _aligned([
        _evaluated(path, references, images, options, table, _counting(progress, n, len(models)))
        for n, path in enumerate(models)
    ])  # fmt: skip
    result = _compared(called, evaluations, time.perf_counter() - started)
    if folder is not None:
        from medseg.evaluation.compare_report import (
            as_json,
            write_comparison,
            write_differences,
        )

        make_folder(folder)
        write_differences(folder / DIFFERENCES, result)
        write_json(folder / COMPARISON, as_json(result))
        write_comparison(folder / COMPARED, result)
    return result


def _names(models: Sequence[str | Path], names: Sequence[str]) -> tuple[str, ...]:
    if names and len(names) != len(models):
        raise InputRefused("names-differ", f"There are {len(names)} names for {len(models)} models",
                           do="Give one for each")  # fmt: skip
    chosen = list(names) or [Path(path).resolve().stem for path in models]
    if len(set(chosen)) < len(chosen):  # run1/masks and run2/masks
        chosen = [f"{name} {number}" for number, name in enumerate(chosen, 1)]
    return tuple(chosen)


def _free(folder: Path, overwrite: bool) -> Path:
    there = [name for name in (DIFFERENCES, COMPARISON, COMPARED) if (folder / name).exists()]
    if there and not overwrite:
        raise OutputFailed("output-exists", f"There is a {there[0]} already",
                           do="Use --overwrite to replace it")  # fmt: skip
    return folder


def _counting(progress: Progress, model: int, models: int) -> Progress:
    return lambda done, total, case: progress(model * total + done, models * total, case)


def _evaluated(
    predictions: str | Path,
    references: str | Path,
    images: str | Path | None,
    options: Options,
    table: str | Path | None,
    progress: Progress,
) -> Evaluation:
    pairs = described(matched(predictions, references, images), table)
    return Evaluation(tuple(pairs), tuple(judged_cases(pairs, options, progress)), options)


def _aligned(evaluations: Sequence[Evaluation]) -> tuple[Evaluation, ...]:
    """Give all evaluations a row for every label that any of them has."""
    every = [case for one in evaluations for case in one.cases]
    filled = iter(completed(every, evaluations[0].options))
    return tuple(replace(one, cases=tuple(next(filled) for _ in one.cases)) for one in evaluations)


def _compared(
    names: tuple[str, ...], evaluations: tuple[Evaluation, ...], seconds: float
) -> Comparison:
    labels = next((one.labels for one in evaluations if one.done), ())
    if not shared_cases(evaluations):
        raise InputRefused("no-cases", "There is no case that could be judged for every model",
                           do="See why with medseg evaluate")  # fmt: skip
    found: list[Difference] = []
    places: list[Place] = []
    for score in compared_scores(evaluations[0].options.tolerances_mm):
        of_score = [one for value, name in labels
                    for one in _differences(evaluations, score, value, name)]  # fmt: skip
        corrected = holm([one.paired.p for one in of_score])
        found += [replace(one, p_holm=p) for one, p in zip(of_score, corrected, strict=True)]
        places += _places(evaluations, score, labels)
    return Comparison(names, evaluations, tuple(found), tuple(places), seconds)


def _differences(
    evaluations: Sequence[Evaluation], score: str, label: int, name: str
) -> list[Difference]:
    table, patients = values_of(evaluations, label, score), patients_of(evaluations)
    return [
        Difference(score, label, name, one, two,
                   paired(table[:, one], table[:, two], patients,
                          higher_is_better=score not in FALLING), float("nan"))
        for one, two in combinations(range(len(evaluations)), 2)
    ]  # fmt: skip


def _places(
    evaluations: Sequence[Evaluation], score: str, labels: Sequence[tuple[int, str]]
) -> list[Place]:
    """Rank on each label, and on the mean of the labels that count in a case."""
    patients, rising = patients_of(evaluations), score not in FALLING
    tables = {label: values_of(evaluations, label, score) for label, _ in labels}
    places = [Place(score, label, name, ranking(tables[label], patients, higher_is_better=rising))
              for label, name in labels]  # fmt: skip
    if len(labels) > 1:
        stacked = np.stack(list(tables.values()))  # (labels, cases, models)
        counted = ~np.isnan(stacked)
        sums = np.where(counted, stacked, 0).sum(axis=0)
        with np.errstate(invalid="ignore"):
            overall = sums / counted.sum(axis=0)
        places.append(Place(score, 0, "all labels",
                            ranking(overall, patients, higher_is_better=rising)))  # fmt: skip
    return places
