"""Classify one image or every image of a folder or archive, with one loaded model."""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from medseg.batch.choosing import choose
from medseg.batch.converting import Progress
from medseg.batch.outcome import Outcome, Run, unsuccessful
from medseg.batch.record import fingerprint, write_run, written
from medseg.dicom.private import folder_name
from medseg.errors import InputRefused, MedsegError, OutputFailed
from medseg.files import make_folder, whole_file, whole_folder, write_json
from medseg.inference.classifier import Classifier
from medseg.inference.engines import Device, EngineName, Precision
from medseg.models import find
from medseg.plan import Plan
from medseg.reading import Progress as Bytes
from medseg.reading import Series, scan
from medseg.reading.picture import is_picture, read_picture, volume_of_pixels
from medseg.reading.pixel_archive import SUFFIX, arrays_of, images_of
from medseg.reading.projection import is_projection, read_projection
from medseg.volume import Source, Volume

RESULT, TABLE = "result.json", "predictions.csv"
FORMAT = 1


@dataclass(frozen=True, eq=False, slots=True)
class Image:
    """An image to classify: its name, its files and how it is read."""

    case: str
    files: tuple[Path, ...]
    read: Callable[[], Volume]
    modality: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Images:
    """What a path holds: images, outcomes of what is none of them, and other files by reason."""

    images: tuple[Image, ...]
    others: tuple[Outcome, ...] = ()
    skipped: dict[str, int] | None = None


def classify(
    path: str | Path,
    *,
    model: str | Path,
    out: str | Path,
    engine: EngineName = "auto",
    device: Device = "auto",
    precision: Precision = "f32",
    overwrite: bool = False,
    cache: Path | None = None,
    progress: Progress = lambda done, total, case: None,
    unpacking: Bytes | None = None,
) -> Run:
    """Say of the image at a path, or of every image under it, which class it shows.

    Writes ``out/<case>/result.json``, ``out/predictions.csv`` (the probability of every class,
    a row a case, as ``medseg evaluate --task classify`` takes it) and ``out/run.json``. A case
    that is refused or fails does not stop the others.

    Parameters
    ----------
    path : str or Path
        A picture (PNG, JPEG), a scan of any form that :func:`medseg.scan` knows, an ``.npz`` of
        pixels, or a folder of these.
    model : str or Path
        Name of a shipped classifier, or the folder or zip of its package.
    out : str or Path
        Folder for the results, made if missing.
    engine, device, precision, cache
        As :meth:`medseg.Segmenter.load`.
    overwrite : bool
        Replace results of earlier runs.
    progress, unpacking : callable
        As for :func:`medseg.convert`.

    Returns
    -------
    Run
        What became of each case; ``exit_status`` as the command line gives it.

    Raises
    ------
    InputRefused, ModelRefused, PlanRefused, EngineFailed, OutputFailed
        Before anything was classified, or from a single image.
    """
    started = time.perf_counter()
    package = find(model)
    found = images_at(Path(path), package.plan, unpacking)
    out = Path(out)
    if len(found.images) == 1:
        _check_free(out / found.images[0].case, overwrite)
    classifier = Classifier.load(
        package.path, engine=engine, device=device, precision=precision, cache=cache
    )
    make_folder(out)
    asked = {"model": classifier.provenance["model"], "engine": classifier.engine.name,
             "precision": precision}  # fmt: skip
    outcomes: list[Outcome] = []
    complete = False
    try:
        for number, image in enumerate(found.images):
            progress(number, len(found.images), image.case)
            outcomes.append(_classified(classifier, image, out, overwrite))
        progress(len(found.images), len(found.images), "")
        complete = True
    finally:  # also when interrupted: what was done is on record
        seconds = time.perf_counter() - started
        run = Run((*outcomes, *found.others), found.skipped or {}, seconds, complete)
        _write_table(out / TABLE, outcomes, package.plan.classes)
        write_run(out, run, asked)
    return run


def images_at(path: Path, plan: Plan, unpacking: Bytes | None = None) -> Images:
    """Return the images at a path.

    Raises
    ------
    InputRefused
        ``path-missing``, ``no-images``, and those of :func:`medseg.batch.choosing.choose`.
    """
    if not path.exists():
        raise InputRefused("path-missing", "There is no file or folder at this path",
                           do="Check how it is written, or mount its disk")  # fmt: skip
    if path.is_file() and path.suffix.lower() == SUFFIX:
        return Images(_of_arrays(path, ""))
    if path.is_file() and is_picture(path):
        return Images((_of_picture(path, folder_name(path.stem)),))
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file()
                 and not any(part.startswith(".") for part in file.relative_to(path).parts)
                 ]  # fmt: skip
        pictures = [_of_picture(file, folder_name(file.stem)) for file in files if is_picture(file)]
        arrays = [image for file in files if file.suffix.lower() == SUFFIX
                  for image in _of_arrays(file, file.stem)]  # fmt: skip
        if pictures or arrays:
            return _with_scans(path, plan, [*pictures, *arrays])
    return _scans(path, plan, unpacking)


def _of_picture(file: Path, case: str) -> Image:
    return Image(case, (file,), partial(read_picture, file))


def _of_arrays(file: Path, prefix: str) -> tuple[Image, ...]:
    found = [one for of_part in images_of(arrays_of(file)).values() for one in of_part]
    return _named([
        Image(folder_name(f"{prefix}-{name}" if prefix else name), (file,),
              partial(volume_of_pixels, pixels, name, file))
        for name, pixels in found
    ])  # fmt: skip


def _scans(path: Path, plan: Plan, unpacking: Bytes | None) -> Images:
    found = scan(path, unpacking=unpacking)
    projections = [
        Image(one.case, (file,), partial(_read_kept, file, one), one.modality)
        for one in found if not one.scan for file in one.files if is_projection(file)
    ]  # fmt: skip
    if projections and not any(one.scan for one in found):
        return Images(_named(projections), (), found.skipped)
    choice = choose(found, plan)
    images = [Image(one.case, one.files, one.read, one.modality) for one in choice.chosen]
    taken = {image.case for image in projections}
    others = tuple(one for one in choice.others if one.case not in taken)
    return Images(_named([*projections, *images]), others, choice.skipped)


def _read_kept(file: Path, series: Series) -> Volume:
    """Read a projection while its series keeps the folder that an archive was unpacked to."""
    return replace(read_projection(file), source=Source(series.case, "dicom", (file,),
                                                        keeps=series.keeps))  # fmt: skip


def _with_scans(path: Path, plan: Plan, images: Sequence[Image]) -> Images:
    """Add the scans of a folder that holds pictures too."""
    try:
        scans = _scans(path, plan, None)
    except InputRefused as refusal:
        if refusal.code != "no-images":
            raise
        return Images(_named(images))
    return Images(_named([*images, *scans.images]), scans.others, scans.skipped)


def _named(images: Sequence[Image]) -> tuple[Image, ...]:
    """Give each image a name of its own, with a number where names would clash."""
    clash = Counter(image.case for image in images)
    return tuple(
        replace(image, case=f"{image.case}-{number:05d}") if clash[image.case] > 1 else image
        for number, image in enumerate(images)
    )


def _check_free(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not overwrite:
        raise OutputFailed("output-exists", f"There are results of {folder.name} already",
                           do="Use --overwrite to replace them")  # fmt: skip


def _classified(classifier: Classifier, image: Image, out: Path, overwrite: bool) -> Outcome:
    """Classify one image; what goes wrong becomes its outcome."""
    folder = out / image.case
    known: dict[str, Any] = {"modality": image.modality}
    try:
        _check_free(folder, overwrite)
        known["input"] = fingerprint(image.files)
        clock = time.perf_counter()
        volume = image.read()
        reading = time.perf_counter() - clock
        known |= {"shape": volume.geometry.shape, "spacing_mm": volume.geometry.spacing}
        said = classifier.predict(volume)
        with whole_folder(folder) as aside:
            findings = [{"level": one.level, "code": one.code, "words": one.words}
                        for one in said.findings]  # fmt: skip
            write_json(aside / RESULT, {"format": FORMAT, "case": image.case, **said.as_json(),
                                        "findings": findings, "input": known["input"],
                                        "provenance": said.provenance})  # fmt: skip
            outputs = written({"result": aside / RESULT})
        seconds = {"read": round(reading, 4)}
        seconds |= {stage: round(spent, 4) for stage, spent in said.timings.items()}
        return Outcome(image.case, "done", classification=said.as_json(), outputs=outputs,
                       seconds=seconds, findings=said.findings, provenance=said.provenance,
                       **known)  # fmt: skip
    except (MedsegError, OSError, MemoryError) as error:
        return unsuccessful(image.case, error, **known)


def _write_table(path: Path, outcomes: Sequence[Outcome], classes: Sequence[str]) -> None:
    """Write the probability of every class, a row a case that was done."""
    with whole_file(path) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["case", *classes])
        for outcome in outcomes:
            if outcome.status == "done":
                shares = outcome.classification["probabilities"]
                rows.writerow([outcome.case, *(shares[name] for name in classes)])
