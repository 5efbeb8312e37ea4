"""Scans to NIfTI, exact, with what is odd about each of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medseg.batch.choosing import known, left_out, no_scan, nothing
from medseg.batch.outcome import Outcome, Run, unsuccessful
from medseg.batch.record import FINDINGS_RECORD, fingerprint, write_run, written
from medseg.errors import InputRefused, MedsegError, OutputFailed
from medseg.exporting.nifti import export_volume
from medseg.files import make_folder
from medseg.reading import Progress as Bytes
from medseg.reading import Series, parse_rule, scan, select

Progress = Callable[[int, int, str], None]
"""Called with cases done, all cases, and the case at work."""


def convert(
    path: str | Path,
    out: str | Path,
    *,
    series: str | None = None,
    volume: int | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total, case: None,
    unpacking: Bytes | None = None,
) -> Run:
    """Write every readable series under a path as NIfTI.

    Writes ``out/<case>.nii.gz``, read back and compared, and ``out/findings.json``: what is odd
    about each series and why others were not written. Values are those of
    :func:`medseg.read`, in the smallest type that holds them exactly. A series that is refused
    does not stop the others.

    Parameters
    ----------
    path : str or Path
        A file, a folder tree or an archive, see :func:`medseg.scan`.
    out : str or Path
        Folder for the results, made if missing.
    series : str, optional
        Rule that series must meet, see :func:`medseg.reading.parse_rule`.
    volume : int, optional
        Which volume of a 4-D file, counted from 0.
    overwrite : bool
        Replace files of earlier runs.
    progress, unpacking : callable
        The second as for :func:`medseg.scan`.

    Raises
    ------
    InputRefused
        ``no-images``, ``rule-invalid``, ``rule-matches-none``, and those of :func:`medseg.scan`.
    OutputFailed
        ``write-failed``: the folder cannot be made or the record not be written.
    """
    started = time.perf_counter()
    if series is not None:
        parse_rule(series)  # a typing error should not cost a walk
    with scan(path, unpacking=unpacking) as found:
        if not found:
            raise nothing(found, found.skipped)
        wanted = found if series is None else select(found, series)
        if not wanted:
            raise InputRefused("rule-matches-none", f"None of {len(found)} series meets the rule",
                               do="See what there is with medseg scan")  # fmt: skip
        scans = [one for one in wanted if one.scan]
        others = [no_scan(one) for one in wanted if not one.scan]
        others += [left_out(one, "rule", "does not meet the rule") for one in found
                   if one not in wanted]  # fmt: skip
        out = make_folder(Path(out))
        outcomes: list[Outcome] = []
        complete = False
        try:
            for number, one in enumerate(scans):
                progress(number, len(scans), one.case)
                outcomes.append(_converted(one, out, volume, overwrite))
            progress(len(scans), len(scans), "")
            complete = True
        finally:  # also when interrupted: what was done is on record
            seconds = time.perf_counter() - started
            run = Run((*outcomes, *others), found.skipped, seconds, complete)
            write_run(out, run, {"format": "nifti", "volume": volume}, FINDINGS_RECORD)
        return run


def _converted(series: Series, out: Path, volume: int | None, overwrite: bool) -> Outcome:
    """Convert one series; what goes wrong becomes its outcome."""
    path = out / f"{series.case}.nii.gz"
    facts: dict[str, Any] = known(series)
    try:
        if path.exists() and not overwrite:
            raise OutputFailed("output-exists", f"There is a {path.name} already",
                               do="Use --overwrite to replace it")  # fmt: skip
        clock = time.perf_counter()
        scanned = series.read(volume)
        reading = time.perf_counter() - clock
        export_volume(scanned, path)
        seconds = {"read": reading, "write": time.perf_counter() - clock - reading}
        facts |= {
            "shape": scanned.geometry.shape,
            "spacing_mm": scanned.geometry.spacing,
            "findings": scanned.findings,
        }
        return Outcome(series.case, "done", input=fingerprint(series.files),
                       outputs=written({"nifti": path}), seconds=seconds, **facts)  # fmt: skip
    except (MedsegError, OSError, MemoryError) as error:
        return unsuccessful(series.case, error, **facts)
