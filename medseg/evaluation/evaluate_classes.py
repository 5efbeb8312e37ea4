"""Class probabilities against true classes: two tables in, scores and a report out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from medseg.errors import InputRefused, OutputFailed
from medseg.evaluation.class_tables import (
    Known,
    Predicted,
    groups_of,
    images_of,
    predictions_of,
    references_of,
    refusal_of,
)
from medseg.evaluation.classification import Classification, scores_of
from medseg.files import make_folder
from medseg.findings import Finding

FEW = 10  # cases of a class below which its numbers are told to be shaky


def evaluate_classes(
    predictions: str | Path,
    references: str | Path,
    *,
    out: str | Path | None = None,
    images: str | Path | None = None,
    by: str | None = None,
    table: str | Path | None = None,
    overwrite: bool = False,
) -> Classification:
    """Score class probabilities against true classes, and summarise.

    A case that lacks its true class or its probabilities is in no score, and listed with the
    reason. With ``out`` three files are written, each whole or not at all: ``cases.csv``,
    ``summary.json`` and ``report.html``.

    Parameters
    ----------
    predictions : str or Path
        CSV with a column ``case`` and one for each class, named as the labels are, of
        probabilities that sum to 1; for two classes one of them is enough. Or
        ``case,label,probability``, a row a case and class, or for two classes a row a case.
    references : str or Path
        CSV with ``case`` and ``label``, and as far as there are any ``patient`` or ``group``
        (cases that belong together are resampled together), ``image`` (a path from the table's
        own folder) and others.
    out : str or Path, optional
        Folder for the results, made if missing.
    images : str or Path, optional
        Folder of ``<case>.png`` or scans, for the pictures of the worst cases.
    by : str, optional
        Summarise by groups too: a column of the references or of ``table``.
    table : str or Path, optional
        CSV with a column ``case`` and what is known of each.
    overwrite : bool
        Replace the files of an earlier evaluation.

    Raises
    ------
    InputRefused
        ``manifest-invalid``, ``case-repeated``, ``label-unknown``, ``classes-too-few``,
        ``no-cases-shared``, ``group-unknown``, ``path-missing``; ``probabilities-invalid``
        where no case has any.
    OutputFailed
        ``output-exists``, ``write-failed``.
    """
    from medseg.evaluation.classification_report import FILES, write_all

    started = time.perf_counter()
    folder = None if out is None else Path(out)
    there = [name for name in FILES if folder is not None and (folder / name).exists()]
    if there and not overwrite:
        raise OutputFailed("output-exists", f"There is a {there[0]} already",
                           do="Use --overwrite to replace it")  # fmt: skip
    if images is not None and not Path(images).is_dir():
        raise InputRefused("path-missing", "There is no folder of images at this path",
                           do="Check how it is written, or mount its disk")  # fmt: skip
    known = references_of(Path(references), None if table is None else Path(table))
    found = predictions_of(Path(predictions), [one.label for one in known.values()])
    result = _put_together(known, found, by)
    result = replace(
        result,
        **scores_of(result),
        images=tuple(images_of(result.cases, known, Path(references).parent,
                               None if images is None else Path(images))),
        seconds=time.perf_counter() - started,
    )  # fmt: skip
    if folder is not None:
        make_folder(folder)
        write_all(folder, result)
    return result


def _put_together(known: Mapping[str, Known], found: Predicted, by: str | None) -> Classification:
    shared = known.keys() & found.rows.keys()
    if not shared:
        raise InputRefused(
            "no-cases-shared",
            f"None of the {len(found.rows)} predicted cases is among the {len(known)} references",
            do="Name the cases alike in both tables",
        )  # fmt: skip
    reasons = {case: refusal_of(case, known, found) for case in {*known, *found.rows}}
    cases = sorted(case for case, reason in reasons.items() if reason is None)
    refused = sorted((case, reason) for case, reason in reasons.items() if reason is not None)
    if not cases:
        raise next(one for case, one in refused if case in shared)
    spelt = {one.label.lower(): one.label for one in known.values()}
    chosen = [known[case] for case in cases]
    truth = np.array([found.classes.index(one.label.lower()) for one in chosen])
    return Classification(
        classes=tuple(spelt.get(name, name) for name in found.classes),
        cases=tuple(cases),
        patients=tuple(one.patient or case for case, one in zip(cases, chosen, strict=True)),
        groups=tuple(groups_of(chosen, by)),
        truth=truth,
        probabilities=np.array([found.rows[case] for case in cases], float),
        images=(None,) * len(cases),
        refused=tuple(refused),
        findings=tuple(_odd(truth, [spelt.get(name, name) for name in found.classes])),
        by=by or "",
    )


def _odd(truth: np.ndarray, classes: list[str]) -> list[Finding]:
    """Return what makes the scores of a class shaky, or keeps it from having any."""
    told = []
    for name, cases in zip(classes, np.bincount(truth, minlength=len(classes)), strict=True):
        if not cases:
            told.append(Finding("warning", "class-absent", f"No case is of the class {name}: it "
                                "has no scores and is in no mean"))  # fmt: skip
        elif cases < FEW:
            told.append(Finding("warning", "class-small", f"The class {name} has {cases} case"
                                f"{'s' * int(cases > 1)}: its scores say little"))  # fmt: skip
    return told
