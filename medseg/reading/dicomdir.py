"""The files that a DICOMDIR refers to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.dicom import require
from medseg.errors import InputRefused
from medseg.reading.headers import DICOMDIR
from medseg.reading.wholeness import truncated

if TYPE_CHECKING:
    from pydicom import Dataset

ODD, MISSING = "odd name in the DICOMDIR", "missing, though the DICOMDIR names it"


@dataclass(frozen=True, slots=True, repr=False)
class Directory:
    """The files of a DICOMDIR that are there, and a count by reason of those that are not."""

    files: tuple[Path, ...]
    absent: Counter[str]


def directory(path: Path) -> Directory | None:
    """Return the files that a DICOMDIR names, sorted; None when the file is none.

    A Referenced File ID is a list of components below the DICOMDIR's own folder (PS3.10 8.5).
    Case, a version (``;1``) and a last dot may differ, as media and their mounts have it.

    Raises
    ------
    InputRefused
        ``file-truncated``, ``file-damaged``: some of its records are lost.
    """
    from pydicom import dcmread

    try:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return None
            file.seek(0)
            dataset = dcmread(file, stop_before_pixels=True)
    except Exception:  # damaged in whatever way: it is told of when it is sorted in
        return None
    if require.text(dataset.file_meta, "MediaStorageSOPClassUID") != DICOMDIR:
        return None
    names_in = cache(_names_in)
    named = dict.fromkeys(_named(_records(dataset)))
    places = [_place(path.parent, parts, names_in) for parts in named]
    absent = Counter(place for place in places if isinstance(place, str))
    files = {place for place in places if isinstance(place, Path)}
    return Directory(tuple(sorted(files)), absent)


def _records(dataset: Dataset) -> Sequence[Dataset]:
    """Return the records; pydicom takes one that breaks off for one that is short."""
    try:
        stored: Any = dataset.get_item("DirectoryRecordSequence")
        if stored is None or (stored.is_raw and len(stored.value or b"") < stored.length):
            raise truncated("the DICOMDIR breaks off")
        return dataset.DirectoryRecordSequence
    except InputRefused:
        raise
    except Exception:  # of whatever kind its parser raises
        raise InputRefused("file-damaged", "The DICOMDIR is damaged",
                           do="Give the folder that it lies in") from None  # fmt: skip


def _named(records: Iterable[Dataset]) -> Iterable[tuple[str, ...]]:
    for record in records:
        parts = require.texts(record, "ReferencedFileID")
        if parts and require.whole(record, "RecordInUseFlag") != 0:  # 0: no longer in use (F.5)
            yield parts


def _place(
    folder: Path, parts: tuple[str, ...], names_in: Callable[[Path], dict[str, str]]
) -> Path | str:
    """Return the file of these components, or why there is none."""
    place = folder
    for part in parts:
        if part in ("", ".", "..") or set(part) & set("/\\:"):
            return ODD
        names = names_in(place)
        name = names.get(part) or names.get(_folded(part))
        if name is None:
            return MISSING
        place /= name
    return place


def _names_in(folder: Path) -> dict[str, str]:
    """Return the names in a folder by themselves and by what is left of them on other media."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return {}
    return {_folded(name): name for name in names} | {name: name for name in names}


def _folded(name: str) -> str:
    return name.casefold().split(";")[0].rstrip(".")
