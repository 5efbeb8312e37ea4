"""Predictions against references: every score of every case, and what they say together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from medseg.errors import InputRefused, MedsegError, OutputFailed
from medseg.evaluation.grouping import group_of
from medseg.evaluation.judging import Judged, Options, completed, judge
from medseg.evaluation.match import Pair, matched, read_table
from medseg.evaluation.outcome import Evaluation
from medseg.evaluation.statistics import bands
from medseg.evaluation.tables import (
    CASES,
    LESIONS,
    REPORT,
    SUMMARY,
    write_cases,
    write_lesions,
    write_summary,
)
from medseg.files import make_folder

Progress = Callable[[int, int, str], None]
"""Called with cases done, all cases, and the case at work."""


def silent(done: int, total: int, case: str) -> None:
    """Report nothing: the progress of who does not ask for one."""


def evaluate(
    predictions: str | Path,
    references: str | Path | None = None,
    *,
    out: str | Path | None = None,
    images: str | Path | None = None,
    options: Options | None = None,
    by: str | None = None,
    table: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Evaluation:
    """Score predictions against references, case by case, and summarise.

    Cases are paired by name, see :func:`medseg.evaluation.matched`. One case is in memory at a
    time. A case that cannot be judged does not stop the others; it is in no mean, and listed
    with the reason. With ``out`` three files are written, each whole or not at all:
    ``cases.csv`` (a row a case and label), ``summary.json`` and ``report.html`` (one file that
    asks for nothing from a network); with lesions ``lesions.csv`` too.

    Parameters
    ----------
    predictions, references, images : str or Path
        Folders, manifests or single files: NIfTI, DICOM SEG or RTSTRUCT. Scans are optional:
        RTSTRUCT is filled on them, the report draws on them, ``by`` looks into their headers.
    out : str or Path, optional
        Folder for the results, made if missing.
    options : Options, optional
        Labels, tolerances, policy for empty masks, dialect of HD95 and so on.
    by : str, optional
        Summarise by groups too: a column of the manifest or of ``table``, a DICOM attribute of
        the scans (see :data:`medseg.reading.facts.FACTS`), or ``spacing``.
    table : str or Path, optional
        CSV with a column ``case`` and what is known of each; ``patient`` says which cases
        belong together.
    overwrite : bool
        Replace the files of an earlier evaluation.
    progress : callable

    Returns
    -------
    Evaluation

    Raises
    ------
    InputRefused
        Before anything was judged; why the only case could not be; ``group-unknown``.
    OutputFailed
        ``output-exists``, ``write-failed``.
    """
    started = time.perf_counter()
    options = options or Options()
    pairs = described(matched(predictions, references, images), table)
    folder = None if out is None else _free(Path(out), overwrite)
    judged = judged_cases(pairs, options, progress)
    if len(judged) == 1 and judged[0].refusal is not None:
        raise judged[0].refusal
    if by is not None:
        judged = _grouped(pairs, judged, by)
    result = Evaluation(tuple(pairs), completed(judged, options), options, by or "",
                        time.perf_counter() - started)  # fmt: skip
    if folder is not None:
        from medseg.evaluation.report import write_report

        make_folder(folder)
        write_cases(folder / CASES, result)
        if options.lesions is not None:
            write_lesions(folder / LESIONS, result)
        write_summary(folder / SUMMARY, result)
        write_report(folder / REPORT, result)
    return result


def described(pairs: Sequence[Pair], table: str | Path | None) -> list[Pair]:
    """Return the pairs with what a table says of them added."""
    if table is None:
        return list(pairs)
    told = dict(read_table(Path(table)))
    return [replace(pair, about={**told.get(pair.case, {}), **pair.about}) for pair in pairs]


def judged_cases(pairs: Sequence[Pair], options: Options, progress: Progress) -> list[Judged]:
    """Judge each pair; what goes wrong becomes its outcome."""
    judged = []
    for done, pair in enumerate(pairs):
        progress(done, len(pairs), pair.case)
        judged.append(_one(pair, options))
    progress(len(pairs), len(pairs), "")
    return judged


def _one(pair: Pair, options: Options) -> Judged:
    try:
        return judge(pair, options)
    except MemoryError:
        refusal: MedsegError = InputRefused("memory-short", "There is not enough memory",
                                            do="Close other programs, or use a larger machine"
                                            )  # fmt: skip
    except OSError as error:
        words = (error.strerror or type(error).__name__).lower()
        refusal = InputRefused("file-unreadable", f"Reading failed: {words}",
                               do="Check the disk and try again")  # fmt: skip
    except MedsegError as error:
        refusal = error
    return Judged(pair.case, pair.patient, refusal=refusal)


def _free(folder: Path, overwrite: bool) -> Path:
    there = [name for name in (CASES, SUMMARY, LESIONS, REPORT) if (folder / name).exists()]
    if there and not overwrite:
        raise OutputFailed("output-exists", f"There is a {there[0]} already",
                           do="Use --overwrite to replace it")  # fmt: skip
    return folder


def _grouped(pairs: Sequence[Pair], judged: Sequence[Judged], by: str) -> list[Judged]:
    groups = bands([group_of(pair, one, by) for pair, one in zip(pairs, judged, strict=True)])
    if set(groups) == {"not given"}:
        raise InputRefused(
            "group-unknown", f"No case says anything of {by!r}",
            do="Name a column of the manifest or of --table, or a DICOM attribute of the images",
        )  # fmt: skip
    return [replace(one, group=group) for one, group in zip(judged, groups, strict=True)]
