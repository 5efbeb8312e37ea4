"""Segment one scan or every scan of a tree, with one loaded model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.batch.choosing import choose
from medseg.batch.outcome import Outcome, Run, unsuccessful
from medseg.batch.record import fingerprint, whole_case, write_case, write_run, written
from medseg.errors import MedsegError, OutputFailed
from medseg.exporting import FORMATS, write
from medseg.files import make_folder, whole_folder
from medseg.inference import Segmenter
from medseg.inference.engines import Device, EngineName, Precision
from medseg.models import find
from medseg.reading import Progress as Bytes
from medseg.reading import Series, parse_rule, scan

DEFAULT_FORMATS = ("nifti", "seg", "png")

Progress = Callable[[int, int, str, int, int], None]
"""Called with cases done, all cases, the case at work, tiles done of it, and its tiles."""


def silent(done: int, total: int, case: str, tile: int, tiles: int) -> None:
    """Report nothing: the progress of who does not ask for one."""


@dataclass(frozen=True, slots=True)
class Options:
    """How scans are segmented and what is written of them."""

    formats: tuple[str, ...] = DEFAULT_FORMATS
    strict_modality: bool = False
    postprocess: bool = True
    resume: bool = False
    overwrite: bool = False
    mirror: bool = False


def segment(
    path: str | Path,
    *,
    model: str | Path,
    out: str | Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    series: str | None = None,
    engine: EngineName = "auto",
    device: Device = "auto",
    precision: Precision = "f32",
    strict_modality: bool = False,
    postprocess: bool = True,
    mirror: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    cache: Path | None = None,
    progress: Progress = silent,
    unpacking: Bytes | None = None,
) -> Run:
    """Segment the scan at a path, or every scan that qualifies under it.

    Writes ``out/<case>/`` with ``mask.nii.gz``, ``seg.dcm``, ``sheet.png`` and
    ``probabilities.nii.gz`` as asked, each read back and compared, and ``out/run.json``. A
    case's folder appears when it is whole. A case that is refused or fails does not stop the
    others; each error of a single scan is raised.

    Parameters
    ----------
    path : str or Path
        DICOM file, folder or tree of studies, NIfTI, NRRD, MetaImage or MGH file, folder of
        these, or an archive.
    model : str or Path
        Name of a shipped model, or the folder or zip of a package.
    out : str or Path
        Folder for the results, made if missing.
    formats : sequence of {"nifti", "seg", "png", "probabilities"}
        ``seg`` is left out for scans that are no DICOM.
    series : str, optional
        Rule that scans must meet, see :func:`medseg.reading.parse_rule`.
    engine, device, precision, cache
        As :meth:`medseg.Segmenter.load`.
    strict_modality : bool
        Refuse a scan of another modality than the model's.
    postprocess : bool
        Take the steps of post-processing that the model brings along.
    mirror : bool
        Average over mirrored tiles, see :meth:`medseg.Segmenter.predict`.
    resume : bool
        Leave alone what an earlier run finished with the same input, model and options.
    overwrite : bool
        Replace results of earlier runs.
    progress, unpacking : callable
        The second as for :func:`medseg.scan`.

    Returns
    -------
    Run
        What became of each case; ``exit_status`` as the command line gives it.

    Raises
    ------
    InputRefused, ModelRefused, PlanRefused, EngineFailed, OutputFailed
        Before anything was segmented, or from a single scan.
    """
    started = time.perf_counter()
    options = Options(_checked(formats), strict_modality, postprocess, resume, overwrite, mirror)
    package = find(model)
    if series is not None:
        parse_rule(series)  # a typing error should not cost a walk
    with scan(path, unpacking=unpacking) as found:
        choice = choose(found, package.plan, series)
        out = Path(out)
        if len(choice.chosen) == 1 and not resume:
            _check_free(out / choice.chosen[0].case, overwrite)
        segmenter = Segmenter.load(
            package.path, engine=engine, device=device, precision=precision, cache=cache
        )
        make_folder(out)
        asked = {
            "model": segmenter.provenance["model"],
            "plan": package.plan.hash,
            "engine": segmenter.provenance["engine"],
            "precision": precision,
            "formats": list(options.formats),
            "strict_modality": strict_modality,
            **({} if postprocess else {"postprocess": False}),  # as records before it say nothing
            **({"mirror": True} if mirror else {}),  # absent in records of earlier versions
        }
        outcomes: list[Outcome] = []
        complete = False
        try:
            for number, one in enumerate(choice.chosen):
                report = _reporter(progress, number, len(choice.chosen), one.case)
                report(0, 1)
                outcomes.append(_segmented(segmenter, one, out, options, asked, report))
            progress(len(choice.chosen), len(choice.chosen), "", 1, 1)
            complete = True
        finally:  # also when interrupted: what was done is on record
            seconds = time.perf_counter() - started
            run = Run((*outcomes, *choice.others), choice.skipped, seconds, complete)
            write_run(out, run, asked)
        return run


def _checked(formats: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise OutputFailed("format-unknown", f"There is no output format {', '.join(unknown)!r}",
                           do=f"Choose from {', '.join(FORMATS)}")  # fmt: skip
    return tuple(dict.fromkeys(formats))


def _check_free(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not overwrite:
        raise OutputFailed("output-exists", f"There are results of {folder.name} already",
                           do="Use --resume to keep or --overwrite to replace them")  # fmt: skip


def _reporter(progress: Progress, done: int, total: int, case: str) -> Callable[[int, int], None]:
    return lambda tile, tiles: progress(done, total, case, tile, tiles)


def _segmented(
    segmenter: Segmenter,
    series: Series,
    out: Path,
    options: Options,
    asked: dict[str, Any],
    progress: Callable[[int, int], None],
) -> Outcome:
    """Segment one series; what goes wrong becomes its outcome."""
    folder = out / series.case
    known: dict[str, Any] = {"modality": series.modality}
    try:
        source = fingerprint(series.files)
        known["input"] = source
        if options.resume and (earlier := whole_case(folder, source, asked)):
            return earlier
        _check_free(folder, options.overwrite or options.resume)
        return _done(segmenter, series, folder, options, asked, progress, source)
    except (MedsegError, OSError, MemoryError) as error:
        return unsuccessful(series.case, error, **known)


def _done(
    segmenter: Segmenter,
    series: Series,
    folder: Path,
    options: Options,
    asked: dict[str, Any],
    progress: Callable[[int, int], None],
    source: dict[str, Any],
) -> Outcome:
    """Read, segment and write one series; the folder gets its name when all is in it."""
    clock = time.perf_counter()
    volume = series.read()
    reading = time.perf_counter() - clock
    result = segmenter.predict(
        volume,
        probabilities="probabilities" in options.formats,
        progress=progress,
        strict_modality=options.strict_modality,
        postprocess=options.postprocess,
        mirror=options.mirror,
    )
    clock = time.perf_counter()
    with whole_folder(folder) as aside:
        paths, told = write(result, aside, options.formats)
        seconds = {"read": reading, **result.timings, "write": time.perf_counter() - clock}
        outcome = Outcome(
            case=series.case,
            status="done",
            modality=volume.modality,
            shape=volume.geometry.shape,
            spacing_mm=volume.geometry.spacing,
            input=source,
            volumes_ml={n: round(ml, 4) for n, ml in result.labels.volumes_ml().items()},
            outputs=written(paths),
            seconds={stage: round(spent, 3) for stage, spent in seconds.items()},
            findings=(*result.findings, *told),
            provenance=result.provenance,
        )
        write_case(aside, outcome, asked)
    return outcome
