"""What an RT Structure Set says: structures, their contours, and the images they were drawn on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from medseg.dicom import codes, require
from medseg.dicom.opening import opened
from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.labels import Code, Label, LabelSet

STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
LARGEST = 65535  # of uint16
FARTHEST_MM = 1e6  # no scanner is a kilometre wide: a coordinate beyond is damage

_FILLS = {"CLOSED_PLANAR": False, "CLOSEDPLANAR_XOR": True}  # whether loops mean exclusive or

Notes = Counter[str]
"""How many contours were odd in some way, by the code of the finding."""


@dataclass(frozen=True, eq=False, slots=True)
class Contour:
    """A closed line in one plane."""

    points: np.ndarray  # (N, 3) LPS mm
    by_xor: bool
    images: frozenset[str]  # instance UIDs of those it was drawn on


@dataclass(frozen=True, eq=False, slots=True)
class Roi:
    """A structure: its label, the UID of its frame of reference, and its contours."""

    label: Label
    frame: str
    contours: tuple[Contour, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Outlines:
    """Structures of a file, and the UIDs of what they were drawn on."""

    rois: tuple[Roi, ...]
    series_of: dict[str, str]  # by instance
    series: frozenset[str]
    frames: frozenset[str]
    findings: tuple[Finding, ...]


def outlines_in(path: Path, only: Collection[int | str] | int | str, notes: Notes) -> Outlines:
    """Return the chosen structures of an RT Structure Set, in order of their values.

    What fills nothing, such as points and open lines, is left out and counted in ``notes``.

    Raises
    ------
    InputRefused
        ``rtstruct-foreign``, ``rtstruct-unreadable``, ``labels-missing``.
    """
    dataset = _read(path)
    try:
        rois, findings = _rois(dataset, only, notes)
        series_of, series = _series(dataset)
        frames = {require.text(one, "FrameOfReferenceUID") for one in (dataset, *_frames(dataset))}
    except InputRefused:
        raise
    except Exception:  # a damaged part raises whatever its parser happens to
        raise _unreadable("a part of it is missing or damaged") from None
    named = frozenset(series - {""}), frozenset(frames - {""})
    return Outlines(tuple(rois), series_of, *named, tuple(findings))


def _read(path: Path) -> Dataset:
    try:
        with opened(path) as stream:
            dataset = pydicom.dcmread(stream)
    except Exception:  # likewise
        raise _unreadable("it is no DICOM file, or a damaged one") from None
    if dataset.get("SOPClassUID") != STRUCTURE_SET:
        raise InputRefused("rtstruct-foreign", "The file is DICOM but no RT Structure Set",
                           do="Give the file whose modality is RTSTRUCT")  # fmt: skip
    return dataset


def _unreadable(why: str) -> InputRefused:
    return InputRefused("rtstruct-unreadable", f"The RT Structure Set cannot be read: {why}",
                        do="Export it again")  # fmt: skip


def _rois(
    dataset: Dataset, only: Collection[int | str] | int | str, notes: Notes
) -> tuple[list[Roi], list[Finding]]:
    described = list(dataset.StructureSetROISequence)
    if not described:
        raise _unreadable("it describes no structure")
    numbers = [int(item.ROINumber) for item in described]
    values, findings = _values(numbers)
    drawn = _drawn(dataset, numbers, notes)
    coded = _codes(dataset)
    found: dict[int, tuple[Roi, list[Dataset]]] = {}
    names: set[str] = set()
    for item, number, value, own in zip(described, numbers, values, drawn, strict=True):
        label = _label(item, value, own, coded.get(number))
        while label.name in names:
            label = replace(label, name=f"{label.name} ({value})")
        names.add(label.name)
        found[value] = (Roi(label, require.text(item, "ReferencedFrameOfReferenceUID")), own)
    labels = LabelSet(tuple(roi.label for roi, _ in found.values())).chosen(only)
    chosen = [found[label.value] for label in labels]
    rois = [replace(roi, contours=tuple(_contours(own, roi, notes))) for roi, own in chosen]
    return rois, findings


def _values(numbers: Sequence[int]) -> tuple[Sequence[int], list[Finding]]:
    if len(set(numbers)) == len(numbers) and all(0 < number <= LARGEST for number in numbers):
        return numbers, []
    words = (f"ROI numbers are repeated or not from 1 to {LARGEST}: the {len(numbers)} structures "
             "are numbered from 1 in the order of the file")  # fmt: skip
    return range(1, len(numbers) + 1), [Finding("warning", "rtstruct-renumbered", words)]


def _drawn(dataset: Dataset, numbers: Sequence[int], notes: Notes) -> list[list[Dataset]]:
    """Return the items of the ROI Contour Sequence that belong to each structure."""
    items: dict[int, list[Dataset]] = defaultdict(list)
    for item in dataset.ROIContourSequence:
        items[int(item.ReferencedROINumber)].append(item)
    notes["rtstruct-undescribed"] = sum(len(items[n]) for n in set(items) - set(numbers))
    uses = Counter(numbers)
    for number, count in uses.items():
        if count > 1 and len(items[number]) != count:
            raise _unreadable(f"{count} structures have the ROI number {number}, and nothing tells "
                              "whose contours are whose")  # fmt: skip
    # Where a number is repeated, the order of the items has to tell.
    return [[items[n].pop(0)] if uses[n] > 1 else items[n] for n in numbers]


def _codes(dataset: Dataset) -> dict[int, tuple[Code, Code | None]]:
    """Return type and category of the structures that have a code (PS3.3 C.8.8.8)."""
    found = {}
    for item in _items(dataset, "RTROIObservationsSequence"):
        number = require.whole(item, "ReferencedROINumber")
        types = _items(item, "RTROIIdentificationCodeSequence")
        categories = _items(item, "SegmentedPropertyCategoryCodeSequence")
        if number is not None and types and "CodeValue" in types[0]:
            category = codes.code_of(categories[0]) if categories else None
            found[number] = (codes.code_of(types[0]), category)
    return found


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    return list(dataset.get(keyword) or ())


def _label(
    item: Dataset, value: int, drawn: Sequence[Dataset], coded: tuple[Code, Code | None] | None
) -> Label:
    label = Label(value, require.text(item, "ROIName") or f"ROI {value}")
    if coded:
        kind, category = coded
        label = replace(label, type=kind, category=category or codes.category_of(kind))
    colour = require.numbers(drawn[0], "ROIDisplayColor", 3) if drawn else None
    if colour and 0 <= min(colour) <= max(colour) <= 255:
        red, green, blue = map(int, colour)
        label = replace(label, colour=(red, green, blue))
    return label


def _contours(drawn: Sequence[Dataset], roi: Roi, notes: Notes) -> Iterator[Contour]:
    seen: set[bytes] = set()
    for item in (contour for one in drawn for contour in _items(one, "ContourSequence")):
        kind = str(item.ContourGeometricType)
        points = _points(item, roi.label.value) if kind in _FILLS else np.empty((0, 3))
        if len(points) < 3:
            notes["rtstruct-contours-skipped"] += 1
            continue
        stated = require.whole(item, "NumberOfContourPoints")
        notes["rtstruct-points-differ"] += stated not in (None, len(points))
        if not _FILLS[kind] and points.tobytes() in seen:  # else it would cut itself out
            notes["rtstruct-contours-repeated"] += 1
            continue
        seen.add(points.tobytes())
        yield Contour(points, _FILLS[kind], _instances(_items(item, "ContourImageSequence")))


def _points(contour: Dataset, roi: int) -> np.ndarray:
    """Return the points of a contour, ``(N, 3)`` LPS mm.

    Taken from the bytes: pydicom's own numbers take twenty times as long.
    """
    stored = getattr(contour.get_item("ContourData"), "value", None)
    try:
        if isinstance(stored, bytes):
            text = stored.rstrip(b" \0").decode("ascii")
            numbers = np.fromstring(text, sep=" \\ ")
            whole = len(numbers) == (text.count("\\") + 1 if text else 0)
        else:
            numbers, whole = np.array([float(one) for one in stored or ()]), True
    except (TypeError, ValueError):
        numbers, whole = np.empty(0), False
    if not whole or not np.isfinite(numbers).all():
        raise _unreadable(f"a contour of ROI {roi} has coordinates that are no numbers")
    if len(numbers) % 3:
        raise _unreadable(f"a contour of ROI {roi} has {len(numbers)} coordinates, "
                          "which is no multiple of 3")  # fmt: skip
    if len(numbers) and np.abs(numbers).max() > FARTHEST_MM:
        raise _unreadable(f"a contour of ROI {roi} runs {np.abs(numbers).max():.3g} mm away")
    return numbers.reshape(-1, 3)


def _instances(images: Sequence[Dataset]) -> frozenset[str]:
    uids = (require.text(image, "ReferencedSOPInstanceUID") for image in images)
    return frozenset(filter(None, uids))


def _frames(dataset: Dataset) -> list[Dataset]:
    return _items(dataset, "ReferencedFrameOfReferenceSequence")


def _series(dataset: Dataset) -> tuple[dict[str, str], set[str]]:
    """Return the series that are named, by the instances named of them and by themselves."""
    series_of: dict[str, str] = {}
    series = set()
    for frame in _frames(dataset):
        for study in _items(frame, "RTReferencedStudySequence"):
            for one in _items(study, "RTReferencedSeriesSequence"):
                uid = require.text(one, "SeriesInstanceUID")
                series.add(uid)
                series_of |= dict.fromkeys(_instances(_items(one, "ContourImageSequence")), uid)
    return series_of, series
