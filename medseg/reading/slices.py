"""A stack of slices: sorted along its normal, evenly spaced, with its affine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medseg.dicom.space import affine_from_slices, slice_normal
from medseg.errors import GeometryRefused, InputRefused
from medseg.findings import Finding
from medseg.geometry import Geometry
from medseg.reading.headers import Slice

SAME_PLACE_MM = 0.01  # exports round positions to 1e-3 mm; no scanner steps by less than 0.1
SQUARE = 1e-3  # cosine between rows and columns beyond which they are no image axes (0.06 deg)
UNIT = 1e-2  # direction vectors come rounded to as few as three digits
FINE = 0.01  # of a step; peers refuse here, real tables stop a little off
UNEVEN = 0.05  # of a step: bounds the error of a lesion's volume by as much
CURVED_MM = 0.1  # in-plane distance from a straight line through first and last slice


@dataclass(frozen=True, eq=False, slots=True)
class Stack:
    """Slices in array order along k, the grid they make, and what was odd."""

    slices: tuple[Slice, ...]
    geometry: Geometry
    findings: tuple[Finding, ...] = ()


def plane_of(orientation: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return Image Orientation (Patient) with unit vectors at a right angle.

    Raises
    ------
    InputRefused
        ``orientation-invalid``: the two directions are no axes of an image.
    """
    across, down = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    cosine = abs(across @ down)
    if max(abs(length - 1) for length in lengths) > UNIT or cosine > SQUARE:
        raise InputRefused(
            "orientation-invalid",
            f"The image orientation is not two unit vectors at a right angle: lengths "
            f"{lengths[0]:.4f} and {lengths[1]:.4f}, cosine {cosine:.4f}",
            do="Export the series again",
        )
    across = across / lengths[0]
    down = down - (down @ across) * across
    return np.concatenate([across, down / np.linalg.norm(down)])


def depths(slices: Sequence[Slice]) -> np.ndarray:
    """Return how far each slice lies along the normal of the first, in mm."""
    normal = slice_normal(plane_of(slices[0].orientation or ()))
    return np.asarray(np.array([one.position for one in slices], dtype=float) @ normal)  # (N,)


def repeats(depth: np.ndarray) -> int:
    """Return how many slices lie where another one lies."""
    return int(np.count_nonzero(np.diff(np.sort(depth)) < SAME_PLACE_MM))


def stacked(slices: Sequence[Slice]) -> Stack:
    """Return slices of one size and orientation as a stack.

    The order is that of Image Position (Patient) along the normal (PS3.3 C.7.6.2.1.1), whatever
    names and instance numbers say; the step is that of the positions, never Slice Thickness.

    Raises
    ------
    InputRefused
        ``slices-repeated``, ``slices-missing``, ``slices-uneven``, ``slices-curved``,
        ``orientation-invalid``, ``thickness-missing``, ``geometry-invalid``.
    """
    planes = np.array([one.orientation for one in slices], dtype=float)  # (N, 6)
    plane = plane_of(planes.mean(axis=0))
    normal = slice_normal(plane)
    positions = np.array([one.position for one in slices], dtype=float)  # (N, 3) LPS mm
    order = np.argsort(positions @ normal, kind="stable")
    ordered = tuple(slices[n] for n in order)
    positions = positions[order]
    if len(ordered) == 1:
        step, findings = _step_of_one(ordered[0], normal)
    else:
        thick = [one.thickness for one in ordered if one.thickness]
        varied = bool(thick) and max(thick) > (1 + UNEVEN) * min(thick)
        findings = _check_gaps(positions @ normal, varied)
        findings += _check_drift(positions, normal)
        step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    spacing = np.median(np.array([one.pixel_spacing for one in slices], dtype=float), axis=0)
    shape = (ordered[0].columns, ordered[0].rows, len(ordered))
    try:
        geometry = Geometry(shape, affine_from_slices(positions[0], plane, spacing, step))
    except GeometryRefused as refusal:
        raise InputRefused("geometry-invalid", refusal.found) from None
    return Stack(ordered, geometry, tuple(findings))


def _step_of_one(only: Slice, normal: np.ndarray) -> tuple[np.ndarray, list[Finding]]:
    if only.thickness is None:
        raise InputRefused("thickness-missing", "One slice alone, and its thickness is not given",
                           do="Export the whole series")  # fmt: skip
    words = f"One slice alone: its thickness of {only.thickness:g} mm stands for the spacing"
    return normal * only.thickness, [Finding("warning", "one-slice", words)]


def _check_gaps(depth: np.ndarray, varied: bool = False) -> list[Finding]:
    """Refuse repeated, missing and unevenly spaced slices; ``depth`` is sorted, in mm.

    Where the thickness of slices varies, a gap of two steps is no missing slice: a head CT may
    go from 5 to 10 mm on purpose.
    """
    gaps = np.diff(depth)  # (N - 1,) mm
    if (same := repeats(depth)) > 0:
        at = depth[int(np.argmin(gaps))]
        raise InputRefused(
            "slices-repeated",
            f"duplicate position: {len(depth)} slices lie at {len(depth) - same} positions; the "
            f"first that is the same position as another is {at:.2f} mm along the slice normal",
            do="Remove the repeated images, or separate the phases they belong to",
        )
    step = float(np.sort(gaps)[(len(gaps) - 1) // 2])  # a median that occurs
    steps = gaps / step
    whole = np.rint(steps)
    off = float(np.abs(gaps - step).max())
    if (
        not varied
        and whole.max() >= 2
        and whole.min() >= 1
        and np.abs(steps - whole).max() <= UNEVEN
    ):
        _refuse_missing(depth, gaps, step, whole)
    if off > max(UNEVEN * step, SAME_PLACE_MM):
        raise InputRefused(
            "slices-uneven",
            f"non-uniform spacing: the steps between slices run from {gaps.min():.2f} to "
            f"{gaps.max():.2f} mm, median {np.median(gaps):.2f} mm",
            do="Export each evenly spaced part as a series of its own, or resample it first",
        )
    if off > max(FINE * step, SAME_PLACE_MM):
        even = np.linspace(depth[0], depth[-1], len(depth))
        words = (
            f"The steps between slices run from {gaps.min():.3f} to {gaps.max():.3f} mm; "
            f"slices lie up to {np.abs(depth - even).max():.2f} mm off an even grid"
        )
        return [Finding("warning", "spacing-uneven", words)]
    return []


def _refuse_missing(depth: np.ndarray, gaps: np.ndarray, step: float, whole: np.ndarray) -> None:
    holes = np.flatnonzero(whole >= 2)
    lost = int((whole[holes] - 1).sum())
    middles = depth[holes] + gaps[holes] / 2
    where = ", ".join(f"{one:.2f}" for one in middles[:3]) + (", ..." if len(holes) > 3 else "")
    raise InputRefused(
        "slices-missing",
        f"missing slice: {lost} in {len(holes)} gap(s) around {where} mm along the slice normal "
        f"(step {step:.2f} mm, gap {gaps[holes[0]]:.2f} mm); {len(depth)} of "
        f"{len(depth) + lost} images are here",
        do="Send the missing images; a mask over a gap would be wrong",
    )


def _check_drift(positions: np.ndarray, normal: np.ndarray) -> list[Finding]:
    """Refuse slices whose origins leave a straight line; tell of a tilted gantry."""
    depth = positions @ normal
    in_plane = positions - depth[:, None] * normal  # (N, 3)
    share = (depth - depth[0]) / (depth[-1] - depth[0])
    straight = in_plane[0] + share[:, None] * (in_plane[-1] - in_plane[0])
    off = float(np.linalg.norm(in_plane - straight, axis=1).max())
    if off > CURVED_MM:
        raise InputRefused(
            "slices-curved",
            f"The slices shift sideways by up to {off:.2f} mm from a straight line",
            do="Export the volume without motion correction, or as an even stack",
        )
    drift = float(np.linalg.norm(in_plane[-1] - in_plane[0]))
    along = float(depth[-1] - depth[0])
    if drift <= CURVED_MM or drift / np.hypot(drift, along) <= SQUARE:
        return []
    angle = float(np.degrees(np.arctan2(drift, along)))
    words = f"Tilted gantry: the grid is sheared by {angle:.1f} degrees and kept so"
    return [Finding("info", "sheared", words)]
