"""Distances between the surfaces of two masks: Hausdorff, HD95, ASSD, NSD."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from medseg.metrics.box import box_of, surrounded
from medseg.metrics.elements import element_areas, neighbour_codes, on_surface
from medseg.metrics.empty import NOT_COUNTED, EmptyPolicy, outcome_of
from medseg.metrics.overlap import check_masks

Dialect = Literal["medseg", "monai", "medpy"]

NEAR = 4.0  # voxels of mean size: nearer places are looked up one by one, the rest by a tree
AT_ONCE = 1 << 15  # look-ups: few origins take many steps at a time, many origins one
ROUNDING_MM = 1e-6  # what a distance may exceed a tolerance by and still be within it
ROUNDING_SHARE = 1e-9  # likewise of a share of the surface: 19 equal parts of 20 are 95 %


@dataclass(frozen=True, eq=False, slots=True)
class SurfaceDistances:
    """How far each surface element of two masks lies from the surface of the other.

    Attributes
    ----------
    from_truth, from_predicted : (N,), (M,) array
        Distance in mm of each element of one mask to the nearest element of the other;
        infinite where the other is empty.
    truth_area, predicted_area : (N,), (M,) array
        Area of each element in mm2; in 2-D its length in mm.
    """

    from_truth: np.ndarray
    truth_area: np.ndarray
    from_predicted: np.ndarray
    predicted_area: np.ndarray

    def hausdorff(self, percentile: float = 100) -> float:
        """Return the larger of both directed percentiles in mm, weighted by area.

        A directed percentile is the smallest distance within which at least that share of the
        surface lies, not interpolated. nan where both masks are empty.
        """
        if not self.from_truth.size + self.from_predicted.size:
            return math.nan
        return max(
            _percentile(self.from_truth, self.truth_area, percentile),
            _percentile(self.from_predicted, self.predicted_area, percentile),
        )

    def average(self) -> float:
        """Return the mean distance in mm over both surfaces, weighted by area (ASSD)."""
        area = self.truth_area.sum() + self.predicted_area.sum()
        away = (self.from_truth * self.truth_area).sum()
        away += (self.from_predicted * self.predicted_area).sum()
        return float(away / area) if area else math.nan

    def within(self, tolerance_mm: float) -> float:
        """Return the share of both surfaces no further than this from the other (NSD)."""
        area = self.truth_area.sum() + self.predicted_area.sum()
        limit = tolerance_mm + ROUNDING_MM
        near = self.truth_area[self.from_truth <= limit].sum()
        near += self.predicted_area[self.from_predicted <= limit].sum()
        return float(near / area) if area else math.nan


def _percentile(distance: np.ndarray, area: np.ndarray, percentile: float) -> float:
    if not distance.size:  # the other mask's elements lie infinitely far
        return math.inf
    if percentile == 100:
        return float(distance.max())
    order = np.argsort(distance)
    share = np.cumsum(area[order])
    first = np.searchsorted(share, (percentile / 100 - ROUNDING_SHARE) * share[-1])
    return float(distance[order[first]])


def surface_distances(
    truth: np.ndarray, predicted: np.ndarray, spacing: Sequence[float]
) -> SurfaceDistances:
    """Measure every surface element of two masks against the surface of the other.

    Elements, their places and areas are those of DeepMind's surface-distance (see
    :mod:`medseg.metrics.elements`); distances are exact, between elements. Only the box around
    both masks is looked at. A mask of one slice has a surface on both sides of it; one that
    touches the edge of the image has a surface there.

    Parameters
    ----------
    truth, predicted : (I, J) or (I, J, K) bool array
        One label on one grid.
    spacing : sequence of 2 or 3 float
        Voxel size along the array axes in mm; the axes are taken to be at right angles.

    Raises
    ------
    TypeError, ValueError
        The masks are not bool, not of one shape, or the spacing does not fit.

    Examples
    --------
    >>> truth, predicted = np.zeros((2, 6, 6, 6), bool)
    >>> truth[1:4, 1:4, 1:4] = predicted[1:4, 1:4, 1:5] = True
    >>> far = surface_distances(truth, predicted, (1, 1, 2))
    >>> far.hausdorff(), round(far.within(1), 3)
    (2.0, 0.913)
    """
    sizes = checked_spacing(truth, predicted, spacing)
    box = box_of(truth, predicted)
    if box is None:
        return SurfaceDistances(*(np.zeros(0) for _ in range(4)))
    areas = element_areas(sizes)
    (truth_map, truth_area), (predicted_map, predicted_area) = (
        _elements(np.ascontiguousarray(mask[box]), areas) for mask in (truth, predicted)
    )
    return SurfaceDistances(
        from_truth=_distances(truth_map, predicted_map, sizes),
        truth_area=truth_area,
        from_predicted=_distances(predicted_map, truth_map, sizes),
        predicted_area=predicted_area,
    )


def _elements(mask: np.ndarray, areas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the surface elements lie, as a bool map of corners, and their areas."""
    codes = neighbour_codes(mask)
    held = on_surface(codes, mask.ndim)
    return held, areas[codes[held]]


def _distances(origins: np.ndarray, targets: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Return the mm from each true place of one map to the nearest true place of the other.

    Good predictions lie within a voxel or two, so the places around an origin are looked up in
    order of distance; for the few origins with nothing near, a k-d tree finds the nearest.
    Distances are taken between whole indices, so that equal ones are equal to the last bit.
    """
    if not targets.any():
        return np.full(np.count_nonzero(origins), math.inf)
    offsets, lengths = _around(spacing)
    margin = offsets.max(axis=0).tolist()
    held = surrounded(targets, margin)
    steps = offsets @ (np.array(held.strides) // held.itemsize)
    place = np.flatnonzero(surrounded(origins, margin))
    held, shape = held.ravel(), held.shape
    found = np.empty(place.size)
    left = np.arange(place.size)
    start = 0
    while left.size and start < len(steps):
        stop = start + max(1, AT_ONCE // left.size)
        hits = held[place[:, None] + steps[start:stop]]  # (N, steps)
        first = hits.argmax(axis=1)
        hit = hits[np.arange(left.size), first]
        found[left[hit]] = lengths[start + first[hit]]
        left, place, start = left[~hit], place[~hit], stop
    if not left.size:
        return found
    far = np.stack(np.unravel_index(place, shape), axis=1)  # (N, axes)
    there = np.stack(np.unravel_index(np.flatnonzero(held), shape), axis=1)
    # a tree cut at middles, not medians: half the time, since each is asked once
    tree = cKDTree(there * spacing, balanced_tree=False, compact_nodes=False)
    nearest = tree.query(far * spacing)[1]
    found[left] = np.linalg.norm((far - there[nearest]) * spacing, axis=1)
    return found


@lru_cache(maxsize=64)
def _around(spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return all index offsets nearer than ``NEAR`` mean voxels and their mm, nearest first."""
    reach = NEAR * math.prod(spacing) ** (1 / len(spacing))
    grid = np.meshgrid(*(np.arange(-(n := int(reach / size)), n + 1) for size in spacing))
    offsets = np.stack(grid, axis=-1).reshape(-1, len(spacing))
    lengths = np.linalg.norm(offsets * spacing, axis=1)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] <= reach]
    return offsets[order], lengths[order]


def hausdorff(
    truth: np.ndarray,
    predicted: np.ndarray,
    spacing: Sequence[float],
    *,
    empty: EmptyPolicy = NOT_COUNTED,
) -> float:
    """Return the largest distance in mm from either surface to the other.

    Parameters and refusals as in :func:`surface_distances`; ``empty`` says what an empty mask
    scores.
    """
    return _distance(truth, predicted, spacing, empty, SurfaceDistances.hausdorff)


def hd95(
    truth: np.ndarray,
    predicted: np.ndarray,
    spacing: Sequence[float],
    *,
    dialect: Dialect = "medseg",
    empty: EmptyPolicy = NOT_COUNTED,
) -> float:
    """Return the 95th percentile Hausdorff distance in mm.

    Tools mean different things by it, so say which: the same masks can score 0, 19 or 53 mm.

    Parameters
    ----------
    truth, predicted, spacing
        As in :func:`surface_distances`.
    dialect : {"medseg", "monai", "medpy"}
        ``medseg``: the larger directed percentile of surface elements, weighted by area, as
        DeepMind's surface-distance. ``monai``: the larger directed percentile of border voxels
        (those with a face neighbour outside), unweighted, interpolated. ``medpy``: one
        percentile over the border voxels of both masks together.
    empty : EmptyPolicy
        What an empty mask scores.

    Examples
    --------
    >>> truth = np.zeros((80, 20, 20), bool)
    >>> truth[2:12, 2:12, 2:12] = True
    >>> predicted = truth.copy()
    >>> truth[60:63, 2:5, 2:5] = True  # a small lesion far off, missed
    >>> for dialect in ("medseg", "monai", "medpy"):
    ...     print(dialect, round(hd95(truth, predicted, (1, 1, 1), dialect=dialect), 2))
    medseg 49.0
    monai 17.15
    medpy 0.0
    """
    if dialect == "medseg":
        return _distance(truth, predicted, spacing, empty, lambda far: far.hausdorff(95))
    if dialect not in _DIALECTS:
        raise ValueError(f"{dialect!r} is no dialect of HD95: medseg, monai or medpy")
    measure = _DIALECTS[dialect]
    sizes = checked_spacing(truth, predicted, spacing)
    outcome = outcome_of(int(np.count_nonzero(truth)), int(np.count_nonzero(predicted)))
    value = math.nan
    if outcome == "scored":
        box = box_of(truth, predicted)
        ours, theirs = (_border(np.ascontiguousarray(mask[box])) for mask in (truth, predicted))
        value = measure(_distances(ours, theirs, sizes), _distances(theirs, ours, sizes))
    return empty.distance(outcome, value, diagonal_mm(truth.shape, sizes))


_DIALECTS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "monai": lambda one, other: float(max(np.percentile(one, 95), np.percentile(other, 95))),
    "medpy": lambda one, other: float(np.percentile(np.concatenate((one, other)), 95)),
}


def _border(mask: np.ndarray) -> np.ndarray:
    """Return the voxels of a mask with a face neighbour outside; beyond the array is outside."""
    padded = surrounded(mask, (1,) * mask.ndim)
    inner = (slice(1, -1),) * mask.ndim
    within = mask.copy()
    for axis in range(mask.ndim):
        for shift in (-1, 1):
            within &= np.roll(padded, shift, axis)[inner]
    border: np.ndarray = mask & ~within
    return border


def assd(
    truth: np.ndarray,
    predicted: np.ndarray,
    spacing: Sequence[float],
    *,
    empty: EmptyPolicy = NOT_COUNTED,
) -> float:
    """Return the average symmetric surface distance in mm, over both surfaces by area.

    Parameters and refusals as in :func:`surface_distances`; ``empty`` says what an empty mask
    scores.
    """
    return _distance(truth, predicted, spacing, empty, SurfaceDistances.average)


def nsd(
    truth: np.ndarray,
    predicted: np.ndarray,
    spacing: Sequence[float],
    *,
    tolerance_mm: float = 1.0,
    empty: EmptyPolicy = NOT_COUNTED,
) -> float:
    """Return the normalised surface Dice: the share of both surfaces within a tolerance.

    Nikolov et al., JMIR 2021. Parameters and refusals as in :func:`surface_distances`;
    ``empty`` says what an empty mask scores.
    """
    far = surface_distances(truth, predicted, spacing)
    outcome = outcome_of(far.from_truth.size, far.from_predicted.size)
    return empty.overlap(outcome, far.within(tolerance_mm))


def _distance(
    truth: np.ndarray,
    predicted: np.ndarray,
    spacing: Sequence[float],
    empty: EmptyPolicy,
    measure: Callable[[SurfaceDistances], float],
) -> float:
    far = surface_distances(truth, predicted, spacing)
    outcome = outcome_of(far.from_truth.size, far.from_predicted.size)
    return empty.distance(outcome, measure(far), diagonal_mm(truth.shape, spacing))


def diagonal_mm(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """Return the length of the image's diagonal, outer edge to outer edge."""
    return math.hypot(*(n * size for n, size in zip(shape, spacing, strict=True)))


def checked_spacing(
    truth: np.ndarray, predicted: np.ndarray, spacing: Sequence[float]
) -> tuple[float, ...]:
    """Return the spacing as floats after checking masks and spacing."""
    check_masks(truth, predicted)
    sizes = tuple(float(size) for size in spacing)
    if truth.ndim not in (2, 3) or len(sizes) != truth.ndim:
        raise ValueError(f"masks of {truth.ndim} axes and {len(sizes)} spacings: need 2 or 3 each")
    if not all(math.isfinite(size) and size > 0 for size in sizes):
        raise ValueError(f"spacing must be finite and above 0 mm, not {sizes}")
    return sizes
