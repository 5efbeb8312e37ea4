"""Masks out of DICOM Segmentation objects, on a scan's grid or their own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import RLELossless

from medseg.dicom import codes, require, space
from medseg.dicom.opening import is_damage, opened
from medseg.errors import GeometryRefused, InputRefused
from medseg.geometry import Geometry
from medseg.labels import Code, Label, LabelSet, Laterality
from medseg.volume import LabelMap, Volume

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"

OFF_GRID = 0.2  # of a voxel: how far a pixel may lie from the voxel that takes it
SAME_SLICE_MM = 0.01  # frames of two segments on one slice
MOST_SLICES = 4096  # of a grid made from frame positions; bounds the memory it may ask for


def read_seg(
    path: Path, onto: Volume | None = None, only: Collection[int | str] | int | str = ()
) -> LabelMap:
    """Read a DICOM Segmentation as a label map.

    Every frame is placed by its plane position; slices without a frame are empty.

    Parameters
    ----------
    path : Path
        A BINARY or LABELMAP Segmentation (PS3.3 A.51).
    onto : Volume, optional
        The scan that was segmented: the mask comes back on its grid, whatever the order and
        direction of its axes. Without it the grid is that of the frames, from the first to
        the last slice that has one.
    only : collection of int or str, optional
        Numbers or names of the segments to read; all when empty.

    Returns
    -------
    LabelMap
        ``(I, J, K)``; values are the segment numbers, names and codes those of the file.

    Raises
    ------
    InputRefused
        ``seg-unreadable``, ``seg-foreign``, ``seg-fractional``, ``seg-overlap``,
        ``seg-undescribed``, ``labels-missing``.
    GeometryRefused
        ``seg-grid``: the frames do not lie on the voxels of the grid.
    """
    with require.quiet():
        dataset = seg_dataset(path)
        try:
            named = labels_of(dataset)
            planes = _planes(dataset)
            _check_whole(dataset)
        except InputRefused:
            raise
        except Exception:  # likewise
            raise _unreadable("a part of its header is missing or damaged") from None
        labels = named.chosen(only)
        geometry = onto.geometry if onto is not None else _geometry_of(planes)
        array = np.zeros(geometry.shape[::-1], _dtype(labels)).T  # a slice lies in one piece
        for plane, frame in zip(planes, _frames(dataset), strict=True):
            shown = _numbered(plane, frame.T, named, labels)  # (columns, rows)
            _put(shown, _slot(array, geometry, plane))
        return LabelMap(array, geometry, labels)


def seg_dataset(path: Path) -> Dataset:
    """Return a Segmentation as it lies in its file; refuses what is none, or FRACTIONAL."""
    try:
        with opened(path) as stream:
            dataset = pydicom.dcmread(stream)
    except Exception:  # a damaged file raises whatever its parser happens to
        raise _unreadable("it is no DICOM file, or a damaged one") from None
    if dataset.get("SOPClassUID") not in (SEGMENTATION, LABEL_MAP):
        raise InputRefused("seg-foreign", "The file is DICOM but no Segmentation",
                           do="Give the file whose modality is SEG")  # fmt: skip
    if dataset.get("SegmentationType") == "FRACTIONAL":
        raise InputRefused("seg-fractional",
                           "The Segmentation is FRACTIONAL: it has probabilities, no mask",
                           do="Threshold it where it was made and export it as BINARY")  # fmt: skip
    return dataset


def _unreadable(why: str) -> InputRefused:
    return InputRefused("seg-unreadable", f"The Segmentation cannot be read: {why}",
                        do="Export it again")  # fmt: skip


def labels_of(dataset: Dataset) -> LabelSet:
    """Rebuild the labels from the coded segments; a repeated name gets its number."""
    labels: list[Label] = []
    for segment in dataset.SegmentSequence:
        value = int(segment.SegmentNumber)
        if value == 0:  # background of a LABELMAP
            continue
        name = str(segment.SegmentLabel)
        if any(name == label.name for label in labels):
            name = f"{name} ({value})"
        coded = segment.SegmentedPropertyTypeCodeSequence[0]
        modifiers = [codes.code_of(item) for item in coded.get(
            "SegmentedPropertyTypeModifierCodeSequence",
            segment.get("SegmentedPropertyTypeModifierCodeSequence", ()))]  # fmt: skip
        labels.append(
            Label(
                value, name,
                category=codes.code_of(segment.SegmentedPropertyCategoryCodeSequence[0]),
                type=codes.code_of(coded),
                modifiers=tuple(one for one in modifiers if codes.side_of(one) is None),
                laterality=_laterality(modifiers),
                colour=_colour(segment),
            )
        )  # fmt: skip
    return LabelSet(tuple(labels))


def _laterality(modifiers: Sequence[Code]) -> Laterality | None:
    return next((side for side in map(codes.side_of, modifiers) if side is not None), None)


def _colour(segment: Dataset) -> tuple[int, int, int]:
    lab = segment.get("RecommendedDisplayCIELabValue")
    if lab is None:
        return Label(1, "").colour
    from highdicom.color import CIELabColor  # 0.7 s, for files with colours only

    red, green, blue = CIELabColor.from_dicom_value(tuple(lab)).to_rgb(clip=True)
    return (round(red), round(green), round(blue))


@dataclass(frozen=True, slots=True)
class _Plane:
    """Where one frame lies, LPS mm, and which segment it shows; 0 in a LABELMAP: any."""

    segment: int
    position: list[float]
    orientation: list[float]
    pixel_spacing: list[float]
    step: float | None  # mm to the next slice along the normal, if the file says so
    thickness: float | None  # mm
    shape: tuple[int, int]  # columns, rows

    @property
    def normal(self) -> np.ndarray:
        return space.slice_normal(self.orientation)

    @property
    def affine(self) -> np.ndarray:
        return space.affine_from_slices(
            self.position, self.orientation, self.pixel_spacing, self.normal
        )


def _planes(dataset: Dataset) -> list[_Plane]:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    frames = dataset.PerFrameFunctionalGroupsSequence
    if not len(frames) == int(dataset.NumberOfFrames) > 0:
        raise ValueError("not one description for each frame")
    return [_plane(dataset, shared, frame) for frame in frames]


def _plane(dataset: Dataset, shared: Dataset, frame: Dataset) -> _Plane:
    def group(name: str) -> Any:
        return (frame if name in frame else shared)[name][0]

    segment = 0
    if dataset.SOPClassUID != LABEL_MAP:
        segment = int(group("SegmentIdentificationSequence").ReferencedSegmentNumber)
    measures = group("PixelMeasuresSequence")
    return _Plane(
        segment,
        _floats(group("PlanePositionSequence").ImagePositionPatient, 3),
        _floats(group("PlaneOrientationSequence").ImageOrientationPatient, 6),
        _floats(measures.PixelSpacing, 2),
        require.number(measures, "SpacingBetweenSlices"),
        require.number(measures, "SliceThickness"),
        (int(dataset.Columns), int(dataset.Rows)),
    )


def _check_whole(dataset: Dataset) -> None:
    """Refuse pixels that cannot fill the frames, before memory is taken for these."""
    syntax = dataset.file_meta.TransferSyntaxUID
    bits = int(dataset.BitsAllocated) * int(dataset.Rows) * int(dataset.Columns)
    most = 64 if syntax == RLELossless else 1  # times that run lengths grow (PS3.5 G.3.1)
    if syntax.is_encapsulated and syntax != RLELossless:
        return
    if 8 * most * len(dataset.PixelData) < bits * int(dataset.NumberOfFrames):
        raise _unreadable("it holds fewer pixels than it claims")


def _floats(values: Sequence[float], count: int) -> list[float]:
    numbers = [float(value) for value in values]
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"not {count} numbers")
    return numbers


def _geometry_of(planes: Sequence[_Plane]) -> Geometry:
    """Return the smallest even grid that has all planes, slices sorted along their normal."""
    depth = np.array([plane.position for plane in planes]) @ planes[0].normal  # (N,) mm
    first, last = planes[int(depth.argmin())], planes[int(depth.argmax())]
    steps = _steps(depth - depth.min(), abs(first.step or 0))
    if steps:
        step = np.subtract(last.position, first.position) / steps
    else:
        step = first.normal * abs(first.step or first.thickness or 1)
    affine = space.affine_from_slices(first.position, first.orientation, first.pixel_spacing, step)
    return Geometry((*first.shape, steps + 1), affine)


def _steps(depth: np.ndarray, stated: float) -> int:
    """Return the even steps from the first slice to the last.

    A step is what the file states if all slices lie on it, else their smallest gap: frames
    of empty slices may have been left out.
    """
    gaps = np.diff(np.unique(depth))
    gaps = gaps[gaps > SAME_SLICE_MM]
    if not len(gaps):
        return 0
    for step in filter(None, (stated, float(gaps.min()))):
        at = depth / step
        if np.abs(at - np.rint(at)).max() <= OFF_GRID and at.max() < MOST_SLICES:
            return max(1, round(float(at.max())))
    raise GeometryRefused(
        "seg-grid",
        f"The slices of the Segmentation are uneven: gaps of {gaps.min():.2f} "
        f"to {gaps.max():.2f} mm",
        do="Give the scan it was made on",
    )


def _dtype(labels: LabelSet) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if max(labels.values) < 256 else np.uint16


def _numbered(plane: _Plane, pixels: np.ndarray, named: LabelSet, wanted: LabelSet) -> np.ndarray:
    """Return a frame as segment numbers, with those that are not wanted made 0."""
    numbers = (pixels != 0) * np.uint16(plane.segment) if plane.segment else pixels
    found = np.flatnonzero(np.bincount(numbers.ravel()))
    if strange := set(found.tolist()) - set(named.values):
        raise InputRefused(
            "seg-undescribed",
            f"There are pixels of segment {min(strange)}, which the file does not describe",
            do="Export it again, with a description of every segment",
        )
    return np.where(np.isin(numbers, wanted.values), numbers, 0)


def _put(numbers: np.ndarray, target: np.ndarray) -> None:
    shown = numbers != 0
    before = target[shown]
    overlap = (before != 0) & (before != numbers[shown])
    if overlap.any():
        raise InputRefused(
            "seg-overlap",
            f"Segments {before[overlap][0]} and {numbers[shown][overlap][0]} overlap; "
            "a label map has one value a voxel",
            do="Read one segment at a time with only=[...]",
        )
    target[shown] = numbers[shown]


def _frames(dataset: Dataset) -> Iterator[np.ndarray]:
    """Yield the ``(rows, columns)`` pixels of each frame, one at a time."""
    try:
        if dataset.BitsAllocated == 1 and not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            yield from _bits(dataset)
        else:
            yield from iter_pixels(dataset)
    except BaseException as error:
        if not is_damage(error):
            raise
        raise _unreadable("its pixels are damaged, or in a form that needs a decoder") from None


def _bits(dataset: Dataset) -> Iterator[np.ndarray]:
    """Unpack frames of single bits, which do not begin at whole bytes (PS3.5 8.1.1).

    pydicom 3.0.2 takes them one by one only where they do.
    """
    shape = (int(dataset.Rows), int(dataset.Columns))
    size, packed = shape[0] * shape[1], np.frombuffer(dataset.PixelData, np.uint8)
    for start in range(0, size * int(dataset.NumberOfFrames), size):
        some = np.unpackbits(packed[start // 8 : -(-(start + size) // 8)], bitorder="little")
        yield some[start % 8 : start % 8 + size].reshape(shape)


def _slot(array: np.ndarray, geometry: Geometry, plane: _Plane) -> np.ndarray:
    """Return the view of an array on a grid that a plane's ``(columns, rows)`` go to."""
    index = np.linalg.solve(geometry.affine, plane.affine)[:3, [0, 1, 3]]  # of both steps, origin
    whole = np.rint(index).astype(int)
    sizes = np.array(plane.shape)
    steps, start = whole[:, :2], whole[:, 2]
    end = start + steps @ (sizes - 1)
    off = float((np.abs(index - whole) @ (*(sizes - 1), 1)).max())  # at the worst corner
    along_axes = np.array_equal(np.abs(steps.T) @ np.abs(steps), np.eye(2))
    inside = np.minimum(start, end).min() >= 0 and (np.maximum(start, end) < array.shape).all()
    if not along_axes or off > OFF_GRID or not inside:
        raise GeometryRefused(
            "seg-grid",
            f"A frame of {sizes[0]} x {sizes[1]} pixels does not lie on the voxels of the "
            f"{' x '.join(map(str, array.shape))} grid: it starts at voxel "
            f"({', '.join(f'{n:.2f}' for n in index[:, 2])}) and is off by {off:.2f} voxels",
            do="Give the scan that the Segmentation was made on",
        )
    at: list[int | slice] = start.tolist()
    axes = np.abs(steps).argmax(axis=0)  # array axes of columns and rows
    for axis, size, step in zip(axes, sizes, steps[axes, (0, 1)], strict=True):
        stop = start[axis] + step * size
        at[axis] = slice(start[axis], stop if stop >= 0 else None, step)
    view = array[tuple(at)]
    return view if axes[0] < axes[1] else view.T
