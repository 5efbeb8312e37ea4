"""Facts of a DICOM scan that name nobody: the scanner, how it was set, sex, age in decades."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from medseg.dicom import require

FACTS = (
    "BodyPartExamined", "ConvolutionKernel", "KVP", "MagneticFieldStrength", "Manufacturer",
    "ManufacturerModelName", "Modality", "PatientAge", "PatientSex", "ScanningSequence",
    "SliceThickness", "SpacingBetweenSlices",
)  # fmt: skip
"""Attributes by keyword (PS3.6). None is an identifier, a date or a free text about a person."""

_TRIED = 20  # files of a folder that are opened in search of a header


def fact_of(path: Path, keyword: str) -> str:
    """Return one fact of the scan at a path as text, empty where its header does not say.

    Parameters
    ----------
    path : Path
        A DICOM file, or a folder of which the first readable header counts.
    keyword : str
        One of :data:`FACTS`. An age comes as a decade, such as ``"40-49"``, as an exact one
        in a small group points at a person.
    """
    if keyword not in FACTS:
        raise ValueError(f"{keyword} is none of {FACTS}")
    for file in _files(path):
        told = _told_by(file, keyword)
        if told is not None:
            return _decade(told) if keyword == "PatientAge" else told
    return ""


def _told_by(file: Path, keyword: str) -> str | None:
    """Return an attribute of a file's header; None where it is no DICOM, or damaged."""
    import pydicom

    with require.quiet():
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[keyword])
        except Exception:  # its parser raises whatever it happens to
            return None
        return " ".join(require.texts(header, keyword))


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    left = _TRIED
    for folder, subfolders, names in os.walk(path):
        subfolders.sort()
        for name in sorted(names):
            if not name.startswith(".") and left:
                left -= 1
                yield Path(folder, name)


def _decade(age: str) -> str:
    """Return the ten years that an age string (PS3.5 6.2, VR AS) falls into."""
    if len(age) != 4 or not age[:3].isdigit() or age[3] not in "DWMY":
        return ""
    start = int(age[:3]) // 10 * 10 if age[3] == "Y" else 0
    return f"{start}-{start + 9}"
