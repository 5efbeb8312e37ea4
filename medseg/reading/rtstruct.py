"""Masks out of RT Structure Sets: contours filled on the grid of the scan they were drawn on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from medseg.dicom import require, space
from medseg.errors import GeometryRefused, InputRefused
from medseg.findings import Finding, Level
from medseg.geometry import Geometry, axes_towards
from medseg.labels import LabelSet
from medseg.reading.outlines import Contour, Notes, Outlines, Roi, outlines_in
from medseg.reading.polygons import Patch, combined, filled
from medseg.volume import LabelMap, Volume

ON_SLICE = 0.1  # of a step: what positions are rounded by; contours further off are told of
MIDWAY = 0.49  # of a step: from here on, which slice is the nearest is a matter of rounding
ANOTHER_SLICE = 0.5  # of a step, between a contour and the image that it names
_LISTED = 10  # ROI numbers that a message names

_NOTES: dict[str, tuple[Level, str]] = {
    "rtstruct-contours-skipped": (
        "info", "{n} contours are points, open lines or have fewer than 3 points: they fill nothing"
    ),
    "rtstruct-contours-repeated": ("info", "{n} contours are exact copies and count once"),
    "rtstruct-contours-small": ("info", "{n} contours hold no voxel centre"),
    "rtstruct-points-differ": (
        "warning", "{n} contours do not have as many points as the file says of them"
    ),
    "rtstruct-clipped": ("warning", "{n} contours reach beyond the scan and end at its edge"),
    "rtstruct-loops-joined": (
        "info", "On {n} slices loops of one structure overlap partly: they are joined"
    ),
    "rtstruct-off-plane": (
        "warning",
        f"{{n}} contours lie {ON_SLICE} to {MIDWAY} of a step off the slices that take them",
    ),
    "rtstruct-undescribed": (
        "warning", "{n} sets of contours belong to no structure that is described: left out"
    ),
    "rtstruct-other-images": (
        "warning", "{n} contours name images that are not among those of this scan"
    ),
}  # fmt: skip


def read_rtstruct(
    path: Path, onto: Volume | None, only: Collection[int | str] | int | str = ()
) -> LabelMap:
    """Read an RT Structure Set (PS3.3 A.19) as a label map.

    A voxel belongs to a structure when its centre is inside a contour. Several loops on one
    slice are combined by exclusive or, so that a loop in another is a hole; loops that overlap
    only partly are joined, unless they are CLOSEDPLANAR_XOR. A centre on a contour belongs to
    the side towards the patient's left, on a contour along left and right to that towards the
    back, whatever the axes of the array. Slices between contours stay empty: nothing is
    interpolated.

    Parameters
    ----------
    path : Path
        The structure set.
    onto : Volume
        The scan on which it was drawn. Read from DICOM, it must have the images that the
        contours name; of other scans nothing but the geometry can be checked.
    only : collection of int or str, optional
        Numbers or names of the ROIs to read; all when empty.

    Returns
    -------
    LabelMap
        ``(I, J, K)`` on the grid of the scan; values are the ROI numbers, or count from 1 where
        those are not unique and from 1 to 65535. Findings say what was left out or doubtful.

    Raises
    ------
    InputRefused
        ``rtstruct-needs-scan``, ``rtstruct-foreign``, ``rtstruct-unreadable``,
        ``rtstruct-other-series``, ``rtstruct-overlap``, ``labels-missing``, ``source-gone``.
    GeometryRefused
        ``rtstruct-off-plane``, ``rtstruct-other-grid``: contours do not lie on the slices;
        ``rtstruct-outside``: none lies in the scan.
    """
    if onto is None:
        raise InputRefused(
            "rtstruct-needs-scan",
            "An RT Structure Set has no grid of its own, and no scan was given",
            do="Give the scan that it was drawn on as the argument onto",
        )
    notes = Notes()
    with require.quiet():
        outlines = outlines_in(path, only, notes)
        images, findings = _images(onto, outlines, notes)
    labels = LabelSet(tuple(roi.label for roi in outlines.rois))
    array = np.zeros(onto.geometry.shape[::-1], np.min_scalar_type(max(labels.values))).T
    stack = _stack(outlines.rois, images, onto.geometry, array)
    findings += _draw(outlines.rois, stack, notes)
    findings += [Finding(level, code, words.format(n=notes[code]))
                 for code, (level, words) in _NOTES.items() if notes[code]]  # fmt: skip
    return LabelMap(array, onto.geometry, labels, (*outlines.findings, *findings))


@dataclass(frozen=True, eq=False, slots=True)
class _Images:
    """The images of a scan: where each lies, LPS mm by UID, and what they belong to."""

    places: dict[str, tuple[float, ...] | None]
    series: frozenset[str]
    frames: frozenset[str]


def _images(
    onto: Volume, outlines: Outlines, notes: Notes
) -> tuple[dict[str, tuple[float, ...] | None], list[Finding]]:
    """Check that structures were drawn on a scan; return where its images lie."""
    if onto.source.form != "dicom" or not onto.source.files:
        words = "The scan is not DICOM: whether the contours were drawn on it cannot be checked"
        return {}, [Finding("info", "rtstruct-unchecked", words)]
    images = _images_of(onto)
    rois = [roi for roi in outlines.rois if roi.contours]
    belong = [_drawn_on(images, roi, outlines) for roi in rois]
    strangers = [roi for roi, belongs in zip(rois, belong, strict=True) if belongs is False]
    if strangers:
        raise InputRefused(
            "rtstruct-other-series",
            f"{_numbers(strangers)}: drawn on images of another series than this scan",
            do="Give the series that was drawn on; its mask can then be moved to other grids",
        )
    for contour in (contour for roi in rois for contour in roi.contours):
        foreign = contour.images and contour.images.isdisjoint(images.places)
        notes["rtstruct-other-images"] += bool(foreign)
    if None not in belong:
        return images.places, []
    words = ("The contours name no images: that they were drawn on this scan could not be "
             "checked beyond its frame of reference")  # fmt: skip
    return images.places, [Finding("warning", "rtstruct-unreferenced", words)]


def _images_of(onto: Volume) -> _Images:
    wanted = ["SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "ImagePositionPatient"]
    places, series, frames = {}, set(), set()
    try:
        for file in onto.source.files:
            image = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=wanted, force=True)
            instance = require.text(image, "SOPInstanceUID")
            places[instance] = require.numbers(image, "ImagePositionPatient", 3)
            series.add(require.text(image, "SeriesInstanceUID"))
            frames.add(require.text(image, "FrameOfReferenceUID"))
    except (OSError, EOFError, InvalidDicomError) as error:
        raise InputRefused("source-gone", "A slice of the scan can no longer be read",
                           do="Leave the input in place until all is read") from error  # fmt: skip
    return _Images(places, frozenset(series - {""}), frozenset(frames - {""}))


def _drawn_on(images: _Images, roi: Roi, outlines: Outlines) -> bool | None:
    """Return whether a structure was drawn on a scan; None if no more than its frame says so.

    The frame of reference alone decides nothing: CT, MR and PET of one session share it.
    """
    own = frozenset[str]().union(*(contour.images for contour in roi.contours))
    named = own or outlines.series_of.keys()
    if not images.places.keys().isdisjoint(named):
        return True
    if named or outlines.series:
        homes = {outlines.series_of[uid] for uid in own if uid in outlines.series_of}
        return not images.series.isdisjoint(homes or outlines.series)
    frames = {roi.frame} if roi.frame else outlines.frames
    return False if frames and images.frames and images.frames.isdisjoint(frames) else None


def _numbers(rois: Sequence[Roi]) -> str:
    numbers = [str(roi.label.value) for roi in rois[:_LISTED]]
    return f"ROI {', '.join(numbers)}{' and others' if len(rois) > _LISTED else ''}"


@dataclass(frozen=True, eq=False, slots=True)
class _Stack:
    """The slices that contours lie on: a view of the array to fill, and the way there."""

    slices: np.ndarray  # (X, Y, slices)
    to_voxel: np.ndarray  # (3, 4): from RAS+ mm to x, y and slice of the even grid
    images: dict[str, float]  # UID of an image to where it lies on the even grid
    depths: np.ndarray  # (slices,) where the image of each slice lies on the even grid

    @property
    def step_mm(self) -> float:
        """Distance between slices along their normal, in mm."""
        return float(1 / np.linalg.norm(self.to_voxel[2, :3]))

    def slice_at(self, depth: np.ndarray | float) -> np.ndarray:
        """Return the fractional slice at a place on the even grid."""
        last = len(self.depths) - 1
        within = np.interp(depth, self.depths, np.arange(last + 1))
        return np.where((np.asarray(depth) < 0) | (np.asarray(depth) > last), depth, within)


@dataclass(frozen=True, eq=False, slots=True)
class _Loop:
    """A contour on a stack of slices."""

    points: np.ndarray  # (N, 2) along x and y
    depth: float
    slice: int
    by_xor: bool


def _stack(
    rois: Sequence[Roi],
    images: dict[str, tuple[float, ...] | None],
    grid: Geometry,
    array: np.ndarray,
) -> _Stack:
    """See an array as slices along the axis that the contours are flat along.

    Axes run towards left, back and head, so that a centre on a contour goes the same way in
    whatever order the array has them.
    """
    moves = axes_towards(grid, "LPS")
    to_voxel = np.linalg.inv(moves.of_geometry(grid).affine)[:3]
    extents = [
        np.ptp(_voxels(to_voxel, one.points), axis=0) for roi in rois for one in roi.contours
    ]
    extent = np.sum(extents, axis=0) if extents else np.zeros(3)
    axis = 2 - int(extent[::-1].argmin())
    to_voxel = to_voxel[[*(n for n in range(3) if n != axis), axis]]
    slices = np.moveaxis(moves.of_array(array), axis, 2)
    placed = {uid: float(_voxels(to_voxel, np.array(place))[2])
              for uid, place in images.items() if place}  # fmt: skip
    return _Stack(slices, to_voxel, placed, _depths(sorted(placed.values()), slices.shape[2]))


def _depths(images: Sequence[float], slices: int) -> np.ndarray:
    """Return where the images of slices lie: steps may differ a little, the grid is even.

    Unless the scan has been moved to another grid since it was read.
    """
    even = np.arange(slices, dtype=float)
    if len(images) != slices or np.abs(np.array(images)[[0, -1]] - even[[0, -1]]).max() > ON_SLICE:
        return even
    return np.array(images)


def _voxels(to_voxel: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return points ``(..., 3)`` in LPS mm as fractional voxel indices."""
    placed: np.ndarray = space.from_lps(points) @ to_voxel[:, :3].T + to_voxel[:, 3]
    return placed


def _draw(rois: Sequence[Roi], stack: _Stack, notes: Notes) -> list[Finding]:
    """Fill the contours of all structures into the slices of a stack."""
    inside = 0
    empty, gappy, sparse = list[Roi](), list[Roi](), list[Roi]()
    for roi in rois:
        by_slice: dict[int, list[_Loop]] = defaultdict(list)
        for loop in _loops(roi, stack, notes):
            by_slice[loop.slice].append(loop)
        voxels = 0
        for number, loops in by_slice.items():
            _check_one_plane(loops, roi, stack)
            region = _region(loops, stack, notes)
            _put(region, stack.slices[:, :, number], roi.label.value)
            voxels += int(np.count_nonzero(region.mask))
        gaps = np.diff(sorted(by_slice))
        if (gaps > 1).any():
            (sparse if (gaps > 1).all() else gappy).append(roi)
        inside += len(by_slice)
        if not voxels:
            empty.append(roi)
    if not inside and any(roi.contours for roi in rois):
        raise GeometryRefused("rtstruct-outside", "All contours lie outside the scan",
                           do="Give the scan that they were drawn on")  # fmt: skip
    told: list[tuple[list[Roi], Level, str, str]] = [
        (empty, "info", "rtstruct-roi-empty", "no contour fills a voxel"),
        (gappy, "info", "rtstruct-slices-empty",
         "some slices between the first and the last contour have none and stay empty"),
        (sparse, "warning", "rtstruct-slices-empty",
         "no two neighbouring slices have contours; the slices between stay empty"),
    ]  # fmt: skip
    return [Finding(level, code, f"{_numbers(those)}: {words}")
            for those, level, code, words in told if those]  # fmt: skip


def _loops(roi: Roi, stack: _Stack, notes: Notes) -> Iterator[_Loop]:
    """Yield the contours of a structure that lie in the scan, each on the slice nearest to it."""
    end = np.array(stack.slices.shape) - 0.5
    for contour in roi.contours:
        points = _voxels(stack.to_voxel, contour.points)
        points[:, 2] = stack.slice_at(points[:, 2])
        low, high = points.min(axis=0), points.max(axis=0)
        depth = float(low[2] + high[2]) / 2
        low[2] = high[2] = depth
        if (low < -0.5).any() or (high > end).any():
            notes["rtstruct-clipped"] += 1
        if (high < -0.5).any() or (low > end).any():
            continue
        number = min(max(round(depth), 0), stack.slices.shape[2] - 1)
        off = float(np.abs(points[:, 2] - number).max())
        _check_near(contour, depth, off, roi, stack)
        notes["rtstruct-off-plane"] += off > ON_SLICE
        yield _Loop(points[:, :2], depth, number, contour.by_xor)


def _check_near(contour: Contour, depth: float, off: float, roi: Roi, stack: _Stack) -> None:
    """Refuse a contour that belongs to no slice, or to another than it names."""
    named = [float(stack.slice_at(stack.images[uid])) for uid in contour.images & set(stack.images)]
    away = min((abs(depth - one) for one in named), default=0.0)
    if off <= MIDWAY and away <= ANOTHER_SLICE:
        return
    where = (
        f"reaches {off:.2f} of a step ({off * stack.step_mm:.2f} mm) off the slice nearest to it"
    )
    if off <= MIDWAY:
        where = f"lies {away:.2f} steps ({away * stack.step_mm:.2f} mm) off the image that it names"
    raise GeometryRefused("rtstruct-off-plane", f"A contour of ROI {roi.label.value} {where}",
                       do="Give the scan that it was drawn on")  # fmt: skip


def _check_one_plane(loops: Sequence[_Loop], roi: Roi, stack: _Stack) -> None:
    apart = float(np.ptp([loop.depth for loop in loops]))
    if apart > 2 * ON_SLICE:
        raise GeometryRefused(
            "rtstruct-other-grid",
            f"Contours of ROI {roi.label.value} lie {apart * stack.step_mm:.2f} mm apart but on "
            f"one slice of the scan, whose step is {stack.step_mm:.2f} mm",
            do="Give the scan that they were drawn on; its mask can then be moved to this grid",
        )


def _region(loops: Sequence[_Loop], stack: _Stack, notes: Notes) -> Patch:
    across, down, _ = stack.slices.shape
    patches = [filled(loop.points, (across, down)) for loop in loops]
    seen = [patch for patch in patches if patch.mask.any()]
    notes["rtstruct-contours-small"] += len(patches) - len(seen)
    if not seen:
        return patches[0]
    region, joined = combined(seen, by_xor=any(loop.by_xor for loop in loops))
    notes["rtstruct-loops-joined"] += joined
    return region


def _put(region: Patch, plane: np.ndarray, value: int) -> None:
    target = plane[region.box]
    if (others := target[region.mask]).any():
        raise InputRefused(
            "rtstruct-overlap",
            f"ROI {others[others != 0][0]} and ROI {value} overlap; a label map has one value a "
            "voxel",
            do="Read one ROI at a time with only=[...]",
        )
    target[region.mask] = value
