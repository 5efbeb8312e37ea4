"""Prepared cases on disk: memory-mapped arrays that training cuts patches from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medseg.datasets.cases import read_case, refused
from medseg.datasets.dataset import Case
from medseg.datasets.parallel import threads
from medseg.dicom.private import digest, folder_name
from medseg.errors import InputRefused, OutputFailed, PlanRefused
from medseg.files import check_space, make_folder, whole_file, whole_folder, write_json
from medseg.labels import LabelSet
from medseg.plan import Plan
from medseg.preparing import prepare, prepare_labels
from medseg.preparing.prepare import network_grid
from medseg.volume import Volume

SAMPLES = 10_000  # foreground voxels remembered a class: plenty to centre patches on
LARGEST = 65504  # of float16
_INDEX = "store.json"
IMAGE_BYTES = 2  # a voxel and channel in float16

Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, eq=False, slots=True)
class StoredCase:
    """A case as the network sees it.

    Attributes
    ----------
    name : str
    image : (I, J, K, C) float16 memory map
        Normalised; a z-score of 4 is off by 0.002 at most. Each channel lies in one piece.
    classes : (I, J, K) uint8 or uint16 memory map
        Class numbers, not label values; the largest of its type where nobody labelled.
    foreground : dict
        For each class present, ``(N, 3)`` indices of up to 10,000 of its voxels.
    labelled : (N, 3) array or None
        Indices of up to 10,000 labelled voxels, background too; None where all are labelled.
    """

    name: str
    image: np.ndarray
    classes: np.ndarray
    foreground: dict[int, np.ndarray]
    labelled: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of the cases of a store.

    Attributes
    ----------
    folder : Path
    done : tuple of str
        Names of the cases that are there, in the order that was asked for.
    resumed : int
        How many of them had been there before.
    refused : dict
        By name, why a case is not there.
    """

    folder: Path
    done: tuple[str, ...]
    resumed: int = 0
    refused: dict[str, InputRefused] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Need:
    """What preparing will take: cases to do, bytes of them, and bytes free on the disk."""

    cases: int
    bytes: int
    free: int


def store_cases(
    cases: Sequence[Case],
    plan: Plan,
    folder: Path,
    progress: Progress = silent,
    *,
    ignore: int | None = None,
    workers: int = 1,
    skip_refused: bool = False,
    anew: bool = False,
) -> list[StoredCase]:
    """Prepare cases into ``folder`` and open them; what is already there is not done again.

    Parameters
    ----------
    cases, plan, folder, progress, ignore, workers, anew
        As for :func:`prepare_cases`.
    skip_refused : bool
        Leave out cases that cannot be prepared, so long as one is left.

    Raises
    ------
    InputRefused
        What the first of the cases was refused for, unless they are to be skipped; the words
        name it and say how many there are.
    PlanRefused, OutputFailed
        As :func:`prepare_cases`.
    """
    prepared = prepare_cases(
        cases, plan, folder, progress, ignore=ignore, workers=workers, anew=anew
    )
    if prepared.refused and not (skip_refused and prepared.done):
        first, *others = prepared.refused.values()
        more = f" (and {len(others)} other cases cannot be used either)" if others else ""
        raise InputRefused(first.code, first.found + more, do=first.do)
    return [open_case(folder, name) for name in prepared.done]


def prepare_cases(
    cases: Sequence[Case],
    plan: Plan,
    folder: Path,
    progress: Progress = silent,
    *,
    ignore: int | None = None,
    workers: int = 1,
    anew: bool = False,
    announce: Callable[[Need], None] = lambda need: None,
) -> Prepared:
    """Prepare cases into a store; those that are there and whose files are unchanged stay.

    A case that cannot be used stops no other. A case appears in the store whole or not at all.

    Parameters
    ----------
    cases : sequence of Case
    plan : Plan
        What matters of it: orientation, spacing, channels with their normalisation, labels.
    folder : Path
        Made if missing.
    progress : callable
        Called with the number of cases done and of all.
    ignore : int, optional
        Value of voxels that nobody labelled.
    workers : int
        Threads; each holds a case in memory.
    anew : bool
        Empty a store that was made for another plan, in place of refusing it.
    announce : callable
        Called before anything is written with what it will take.

    Raises
    ------
    PlanRefused
        ``store-differs``: the store was made for another plan; names what differs.
    OutputFailed
        ``disk-too-small``: before anything is written. ``write-failed``: the disk is full; what
        was prepared stays, and preparing goes on from there.
    """
    _enter(folder, plan, ignore, anew)
    need = needed(cases, plan, folder, workers)
    announce(need)
    check_space(f"{need.cases} prepared cases", need.bytes, need.free)
    outcomes: dict[str, bool | InputRefused] = {}
    with threads(workers) as pool:
        running = {pool.submit(_stored, case, plan, folder, ignore): case for case in cases}
        for one in as_completed(running):
            case = running[one]
            try:
                outcomes[case.name] = one.result()
            except InputRefused as refusal:
                outcomes[case.name] = refusal
            progress(len(outcomes), len(cases))
    refusals = {case.name: told for case in cases
                if isinstance(told := outcomes[case.name], InputRefused)}  # fmt: skip
    done = tuple(case.name for case in cases if case.name not in refusals)
    return Prepared(folder, done, sum(told is True for told in outcomes.values()), refusals)


def needed(cases: Sequence[Case], plan: Plan, folder: Path, workers: int = 1) -> Need:
    """Return what preparing cases will take; only headers are read.

    A case whose header cannot be read takes nothing: preparing it will say why.
    """
    left = [case for case in cases if not _is_there(folder, case)]
    with threads(workers) as pool:
        sizes = list(pool.map(lambda case: _size(case, plan), left))
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return Need(len(left), sum(sizes), shutil.disk_usage(there).free)


def _size(case: Case, plan: Plan) -> int:
    from medseg.reading import scan

    try:
        found = scan(case.images[0][0])
    except (InputRefused, OSError):
        return 0
    grids = [network_grid(one.geometry, plan) for one in found if one.geometry is not None]
    voxels = max((int(np.prod(grid.shape, dtype=np.int64)) for grid in grids), default=0)
    return voxels * (IMAGE_BYTES * len(plan.channels) + classes_dtype(plan.labels.classes).itemsize)


def _enter(folder: Path, plan: Plan, ignore: int | None, anew: bool) -> None:
    """Make a store, or enter one that was made for the same plan."""
    wanted = _made_for(plan, ignore)
    if (folder / _INDEX).exists():
        there = _read_json(folder / _INDEX)
        differ = [key for key in wanted if there.get(key) != wanted[key]]
        if differ and not anew:
            told = "; ".join(f"{key} {_told(there.get(key))}, now {_told(wanted[key])}"
                             for key in differ)  # fmt: skip
            raise PlanRefused(
                "store-differs", f"The store was prepared for another plan: {told}",
                do="Prepare into another folder, or anew with --overwrite",
            )  # fmt: skip
        if differ:
            for case in folder.glob("*/case.json"):
                shutil.rmtree(case.parent)
        else:
            return  # nothing to write: a store may lie where only reading is allowed
    make_folder(folder)
    write_json(folder / _INDEX, wanted)


def _made_for(plan: Plan, ignore: int | None) -> dict[str, Any]:
    """Return what decides on the content of a store; patch and network do not."""
    return {
        "format": 2,  # 1 was float32 without an index
        "orientation": plan.orientation,
        "spacing": list(plan.spacing),
        "normalisation": [one.normalisation.model_dump(mode="json") for one in plan.channels],
        "values": list(plan.labels.values),
        "ignore": ignore,
    }


def _told(value: Any) -> str:
    return json.dumps(value).replace('"', "")


def _read_json(path: Path) -> dict[str, Any]:
    """Return what a file of ours says; nothing where it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def case_folder(folder: Path, name: str) -> Path:
    """Return the folder of a case; its name cannot lead out of the store."""
    safe = folder_name(name)
    return folder / (safe if safe == name else f"{safe}-{digest(name, 8)}")


def _is_there(folder: Path, case: Case) -> bool:
    told = _read_json(case_folder(folder, case.name) / "case.json")
    return bool(told) and told.get("stamp") == _stamp(case)


def _stamp(case: Case) -> str:
    """Return a hash of sizes and times of the files of a case: it tells when one is changed."""
    told = []
    for path in (*(path for path, _ in case.images), case.label):
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            status = file.stat()
            told.append((status.st_size, status.st_mtime_ns))
    return digest(repr((told, case.series, case.structures)), 32)


def _stored(case: Case, plan: Plan, folder: Path, ignore: int | None) -> bool:
    """Prepare one case; return whether it had been there before."""
    try:
        stamp = _stamp(case)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise refused(case.name, InputRefused("file-unreadable", f"reading failed: {why}",
                                              do="Check the disk")) from None  # fmt: skip
    if _is_there(folder, case):
        return True
    try:
        volume, truth = read_case(case, plan.labels, ignore)
        _check_finite(case, volume)
        image = prepare(volume, plan).array  # (I, J, K, C)
        classes = _class_numbers(prepare_labels(truth, plan).array, plan.labels, ignore)
    except MemoryError:
        raise refused(case.name, InputRefused(
            "memory-short", "there is not enough memory to prepare it",
            do="Use fewer --workers, or a larger machine")) from None  # fmt: skip
    halved = np.clip(np.moveaxis(image, -1, 0), -LARGEST, LARGEST).astype(np.float16)
    try:
        with whole_folder(case_folder(folder, case.name)) as aside:
            _save(aside / "image.npy", halved)
            _save(aside / "classes.npy", classes)
            _save(aside / "foreground.npy", _foreground(classes, plan.labels))
            write_json(aside / "case.json", {"stamp": stamp})
    except OutputFailed as failure:
        words = f"Case {case.name}: {failure.found}"
        raise OutputFailed(failure.code, words, do=failure.do) from failure
    return False


def _check_finite(case: Case, volume: Volume) -> None:
    """Refuse an image with NaN: reading fills it for people to look at, not to learn from."""
    for finding in volume.findings:
        if finding.code == "not-finite":
            raise refused(case.name, InputRefused(
                "not-finite", finding.words,
                do="Convert the image again, or leave the case out"))  # fmt: skip


def _save(path: Path, array: np.ndarray) -> None:
    whole = np.ascontiguousarray(array)
    with whole_file(path) as aside, aside.open("wb") as stream:
        # not np.save: on a full disk it raises an error that does not say so
        np.lib.format.write_array_header_1_0(
            stream, np.lib.format.header_data_from_array_1_0(whole)
        )
        stream.write(whole.data)


def classes_dtype(classes: int) -> np.dtype:
    """Return the smallest type for so many classes and the mark of what nobody labelled."""
    return np.dtype(np.uint8 if classes < 255 else np.uint16)


def _class_numbers(values: np.ndarray, labels: LabelSet, ignore: int | None) -> np.ndarray:
    """Turn label values into class numbers 0, 1, 2 ... in the order of the label set."""
    dtype = classes_dtype(labels.classes)
    table = np.zeros(max(*labels.values, ignore or 0) + 1, dtype)
    table[list(labels.values)] = np.arange(labels.classes)
    if ignore is not None:
        table[ignore] = np.iinfo(dtype).max
    return table[values]


def _foreground(classes: np.ndarray, labels: LabelSet) -> np.ndarray:
    """Return a seeded sample of the voxels of each class as rows of class, i, j, k.

    Where not all is labelled, rows with the mark of what is not are a sample of what is.
    """
    flat = classes.ravel()
    rows = [np.zeros((0, 4), np.uint16)]
    rows += [_rows(number, flat == number, classes.shape) for number in range(1, labels.classes)]
    mark = np.iinfo(classes.dtype).max
    labelled = flat != mark
    if not labelled.all():
        rows.append(_rows(mark, labelled, classes.shape))
    return np.concatenate(rows)


def _rows(number: int, where: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    index = np.flatnonzero(where)
    if len(index) > SAMPLES:
        index = np.random.default_rng(0).choice(index, SAMPLES, replace=False)
    voxels = np.stack(np.unravel_index(index, shape), axis=-1)
    return np.insert(voxels, 0, number, axis=1).astype(np.uint16)


def open_case(folder: Path, name: str) -> StoredCase:
    """Open a case of a store; its arrays stay on the disk."""
    place = case_folder(folder, name)
    rows = np.load(place / "foreground.npy").astype(np.int64)
    voxels = {number: rows[rows[:, 0] == number, 1:] for number in np.unique(rows[:, 0]).tolist()}
    classes = np.load(place / "classes.npy", mmap_mode="r")
    labelled = voxels.pop(np.iinfo(classes.dtype).max, None)
    image = np.moveaxis(np.load(place / "image.npy", mmap_mode="r"), 0, -1)
    return StoredCase(name, image, classes, voxels, labelled)


def shapes_of(folder: Path) -> list[tuple[int, ...]]:
    """Return the shapes ``(I, J, K)`` of the cases of a store."""
    return [np.load(path, mmap_mode="r").shape for path in sorted(folder.glob("*/classes.npy"))]
