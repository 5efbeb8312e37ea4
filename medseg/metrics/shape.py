"""Size and place of one mask: volume, extents, RECIST diameters, contact with the border."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from medseg.metrics.box import at_border, box_of

EQUAL_MM = 1e-6  # diameters that differ by less are one, however they were rounded

Point = tuple[float, ...]


def volume_ml(mask: np.ndarray, spacing: Sequence[float]) -> float:
    """Return the volume of a mask in ml: its voxels times the volume of one.

    Parameters
    ----------
    mask : (I, J, K) bool array
    spacing : (float, float, float)
        Voxel size along the array axes in mm.

    Examples
    --------
    >>> volume_ml(np.ones((10, 10, 10), bool), (1, 1, 2))
    2.0
    """
    return float(np.count_nonzero(mask) * math.prod(spacing) / 1000)


def extents_mm(mask: np.ndarray, spacing: Sequence[float]) -> tuple[float, ...]:
    """Return the length of a mask along each array axis in mm, outer edge to outer edge.

    Zeros for an empty mask.
    """
    box = box_of(mask)
    if box is None:
        return (0.0,) * mask.ndim
    return tuple(
        (along.stop - along.start) * size for along, size in zip(box, spacing, strict=True)
    )


def touches_border(mask: np.ndarray) -> bool:
    """Return whether a mask holds voxels at an edge of the image, so may go on beyond it.

    An axis of one voxel has no edges: a single slice touches only within its plane.
    """
    box = box_of(mask)
    return box is not None and at_border(box, mask.shape)


def centroid(mask: np.ndarray) -> np.ndarray:
    """Return the mean voxel index of a mask, one number an axis; nan for an empty one."""
    count = np.count_nonzero(mask)
    if not count:
        return np.full(mask.ndim, np.nan)
    sums = []
    for axis in range(mask.ndim):
        others = tuple(n for n in range(mask.ndim) if n != axis)
        sums.append(mask.sum(axis=others, dtype=np.int64) @ np.arange(mask.shape[axis]))
    return np.array(sums) / count


def centre_distance_mm(truth: np.ndarray, predicted: np.ndarray, spacing: Sequence[float]) -> float:
    """Return the distance between the centres of mass of two masks in mm.

    nan where either is empty.

    Examples
    --------
    >>> truth, predicted = np.zeros((2, 5, 5, 5), bool)
    >>> truth[1, 1, 1] = predicted[1, 1, 3] = True
    >>> centre_distance_mm(truth, predicted, (1, 1, 2.5))
    5.0
    """
    between = (centroid(truth) - centroid(predicted)) * spacing
    return float(np.linalg.norm(between))


@dataclass(frozen=True, slots=True)
class Diameters:
    """The two diameters that RECIST asks for, and where to draw them.

    Attributes
    ----------
    long_mm, short_mm : float
        Longest diameter in any slice; longest one at a right angle to it in the same slice.
    slice : int
        Index of that slice along the axis across it.
    long_ends, short_ends : pair of points
        Ends as voxel indices along the two axes of the slice, in halves and fractions.
    """

    long_mm: float
    short_mm: float
    slice: int
    long_ends: tuple[Point, Point]
    short_ends: tuple[Point, Point]


def diameters(mask: np.ndarray, spacing: Sequence[float], *, axis: int = 2) -> Diameters | None:
    """Measure the long and short axis of one lesion as RECIST does; None for an empty mask.

    The outline of a slice runs through the points half way between a voxel inside and its
    neighbour outside, as that of marching squares and of PyRadiomics' Maximum2DDiameter: one
    voxel is as wide as a voxel, and no end is off by more than half of one. The long axis is the
    largest distance of two such points, over all slices (Eisenhauer et al., RECIST 1.1, Eur J
    Cancer 2009: the longest diameter in the plane of acquisition); the short axis the longest
    chord at a right angle to it, of the outline's convex hull. Both may cross a gap or a hollow.
    Several lesions in one mask are measured as one: take them apart before.

    Parameters
    ----------
    mask : (I, J, K) or (I, J) bool array
    spacing : sequence of float
        Voxel size along the array axes in mm.
    axis : int
        Array axis across the slices of acquisition.

    Examples
    --------
    >>> mask = np.zeros((9, 9, 3), bool)
    >>> mask[1:8, 4, 1] = True
    >>> found = diameters(mask, (1.0, 2.0, 5.0))
    >>> found.long_mm, found.short_mm, found.slice
    (7.0, 2.0, 1)
    """
    if mask.ndim == 2:
        mask, spacing, axis = mask[..., None], (*spacing, 1.0), 2
    box = box_of(mask)
    if box is None:
        return None
    slices = np.moveaxis(mask[box], axis, 0)  # (N, A, B)
    start = np.array([along.start for n, along in enumerate(box) if n != axis])
    size = np.array([length for n, length in enumerate(spacing) if n != axis])
    best = None
    bounds = [_bound(one, size) for one in slices]
    for n in sorted(range(len(slices)), key=lambda n: -bounds[n]):
        if best and bounds[n] < best.long_mm - EQUAL_MM:
            break  # no slice left could hold a longer one
        found = _of_slice(slices[n], size, start, box[axis].start + n) if bounds[n] else None
        if found and (best is None or _rank(found) > _rank(best)):
            best = found
    return best


def _rank(found: Diameters) -> tuple[float, float, int]:
    """Order by long axis, then short axis, then the lower slice."""
    step = EQUAL_MM
    return (round(found.long_mm / step), round(found.short_mm / step), -found.slice)


def _bound(mask: np.ndarray, size: np.ndarray) -> float:
    """Return a length in mm that no diameter of the slice exceeds: its box's diagonal."""
    box = box_of(mask)
    if box is None:
        return 0.0
    return float(np.linalg.norm([(b.stop - b.start) * s for b, s in zip(box, size, strict=True)]))


def _of_slice(mask: np.ndarray, size: np.ndarray, start: np.ndarray, number: int) -> Diameters:
    points = _outline(mask) * size  # mm
    hull = points[ConvexHull(points).vertices]  # in turn
    apart = np.linalg.norm(hull[:, None] - hull[None], axis=-1)
    longest = apart.max()
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for one, other in np.argwhere(np.triu(apart) > longest - EQUAL_MM):
        long_ends = hull[[one, other]]
        short, short_ends = _widest_chord(hull, long_ends)
        if best is None or short > best[0] + EQUAL_MM:  # of equal long axes the one more round
            best = (short, long_ends, short_ends)
    assert best is not None
    short, *lines = best
    long_ends, short_ends = ((line / size + start).tolist() for line in lines)
    return Diameters(float(longest), short, number, _ends(long_ends), _ends(short_ends))


def _ends(line: list[list[float]]) -> tuple[Point, Point]:
    return tuple(line[0]), tuple(line[1])


def _outline(mask: np.ndarray) -> np.ndarray:
    """Return the first and last crossing of each row and column, as indices ``(P, 2)``."""
    ends = []
    for along in (mask, mask.T):
        rows = np.flatnonzero(along.any(axis=1))
        first = along[rows].argmax(axis=1) - 0.5
        last = along.shape[1] - along[rows, ::-1].argmax(axis=1) - 0.5
        ends.append(np.concatenate([np.stack([rows, end], axis=1) for end in (first, last)]))
    return np.concatenate([ends[0], ends[1][:, ::-1]])


def _widest_chord(hull: np.ndarray, line: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the longest chord of a convex polygon at a right angle to a line, and its ends.

    Along the line the chord's length is concave with kinks at the corners only, so it is
    largest at a corner.
    """
    along = (line[1] - line[0]) / np.linalg.norm(line[1] - line[0])
    across = np.array([-along[1], along[0]])
    place, height = hull @ along, hull @ across
    lowest, highest = int(place.argmin()), int(place.argmax())
    sides = []
    for first, last in ((lowest, highest), (highest, lowest)):
        side = np.arange(first, last + 1 + (len(hull) if last < first else 0)) % len(hull)
        if first == highest:
            side = side[::-1]
        sides.append(np.interp(place, place[side], height[side]))
    lengths = np.abs(sides[0] - sides[1])
    n = int(lengths.argmax())
    ends = place[n] * along + np.array([[sides[0][n]], [sides[1][n]]]) * across
    return float(lengths[n]), ends
