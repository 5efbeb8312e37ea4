"""Polygons filled exactly: a pixel belongs when its centre is inside, by the even-odd rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

# A centre on an edge has to go one way. Every centre is looked for this far along x and y from
# where it is, in pixels: far above the rounding of coordinates, and at an angle no edge has.
NUDGE = np.array([1e-6, 0.618034e-6])
BATCH = 1 << 20  # crossings held at once; bounds the memory that edges without end may ask for


@dataclass(frozen=True, eq=False, slots=True)
class Patch:
    """Pixels ``(X, Y)`` of a box in a slice, and the index of its first pixel."""

    start: tuple[int, int]
    mask: np.ndarray

    @property
    def stop(self) -> tuple[int, int]:
        """The index after that of the last pixel."""
        return (self.start[0] + self.mask.shape[0], self.start[1] + self.mask.shape[1])

    @property
    def box(self) -> tuple[slice, slice]:
        """What to index a slice with."""
        return (slice(self.start[0], self.stop[0]), slice(self.start[1], self.stop[1]))


def filled(points: np.ndarray, shape: tuple[int, int]) -> Patch:
    """Return the pixels whose centres lie inside a polygon.

    Even-odd rule: where a polygon crosses itself or goes round twice, two are none, so that
    a keyhole (a hole reached by a channel of no width) comes out exactly. A centre on an edge
    belongs to the side of larger x, on a level edge to that of larger y: polygons that share
    an edge share no pixel and leave none out.

    Parameters
    ----------
    points : (N, 2) array
        Corners in pixels; pixel ``(x, y)`` has its centre at ``(x, y)``. The last is joined to
        the first. Finite; those outside the slice are fine.
    shape : (int, int)
        Pixels of the slice along x and y.

    Returns
    -------
    Patch
        As large as need be, without pixels when no centre is inside the box of the polygon.

    Examples
    --------
    >>> patch = filled(np.array([[0.5, 0.5], [3.5, 0.5], [3.5, 2.5], [0.5, 2.5]]), (9, 9))
    >>> patch.start, patch.mask.shape, int(patch.mask.sum())
    ((1, 1), (3, 2), 6)
    """
    points = points - NUDGE
    low = np.maximum(np.ceil(points.min(axis=0)), 0)
    high = np.minimum(np.floor(points.max(axis=0)), np.subtract(shape, 1))
    if (high < low).any():
        return Patch((0, 0), np.zeros((0, 0), bool))
    start, end = low.astype(int), high.astype(int) + 1
    columns, rows = end - start
    toggles = np.zeros(rows * (columns + 1), bool)  # row by row, one more for edges to the right
    for x, y in _crossings(points, start[1], end[1]):
        column = np.clip(np.ceil(x), start[0], end[0]).astype(int) - start[0]
        counts = np.bincount((y - start[1]) * (columns + 1) + column, minlength=toggles.size)
        toggles ^= counts % 2 == 1
    inside = np.logical_xor.accumulate(toggles.reshape(rows, columns + 1)[:, :-1], axis=1)
    return Patch((int(start[0]), int(start[1])), inside.T)


def _crossings(points: np.ndarray, first: int, end: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield where edges cross the rows from ``first`` to before ``end``: x and row, in batches."""
    ends = np.roll(points, -1, axis=0)
    upward = (points[:, 1] <= ends[:, 1])[:, None]
    # One direction for all: the two sides of a keyhole's channel cross at the very same x.
    (x0, y0), (x1, y1) = np.where(upward, points, ends).T, np.where(upward, ends, points).T
    from_row = np.clip(np.ceil(y0), first, end).astype(int)
    counts = np.clip(np.ceil(y1), first, end).astype(int) - from_row
    cut = np.flatnonzero(counts)  # level edges and those outside cross no row
    x0, y0, x1, y1, from_row, counts = (each[cut] for each in (x0, y0, x1, y1, from_row, counts))
    slope = (x1 - x0) / (y1 - y0)
    before = np.cumsum(counts) - counts
    for some in np.split(np.arange(len(cut)), np.flatnonzero(np.diff(before // BATCH)) + 1):
        edge = np.repeat(some, counts[some])
        if not len(edge):
            continue
        y = from_row[edge] + np.arange(len(edge)) - (before[edge] - before[some[0]])
        yield x0[edge] + (y - y0[edge]) * slope[edge], y


def combined(patches: Sequence[Patch], *, by_xor: bool) -> tuple[Patch, bool]:
    """Return the region that several loops of one structure in one slice make.

    A loop within another is a hole in it, and a loop within that an island (exclusive or).
    Loops that overlap only partly are drawn twice over, not cut out of each other: they are
    joined before, unless ``by_xor`` says that the file means exclusive or.

    Returns
    -------
    Patch
        In the smallest box that has all loops.
    bool
        Whether loops were joined.
    """
    if len(patches) == 1:
        return patches[0], False
    groups = [[patch] for patch in patches] if by_xor else _to_join(patches)
    region = _blank(patches)
    for members in groups:
        union = _blank(members)
        for member in members:
            union.mask[_within(member, union)] |= member.mask
        region.mask[_within(union, region)] ^= union.mask
    return region, len(groups) < len(patches)


def _blank(patches: Sequence[Patch]) -> Patch:
    """Return the smallest box that has all of these, without a pixel."""
    x, y = np.min([patch.start for patch in patches], axis=0).tolist()
    stop = np.max([patch.stop for patch in patches], axis=0)
    return Patch((x, y), np.zeros(stop - (x, y), bool))


def _within(patch: Patch, larger: Patch) -> tuple[slice, slice]:
    """Return what to index the mask of a larger box with."""
    (x, y), (across, down) = np.subtract(patch.start, larger.start).tolist(), patch.mask.shape
    return (slice(x, x + across), slice(y, y + down))


def _to_join(patches: Sequence[Patch]) -> list[list[Patch]]:
    """Return the loops in groups that hang together by overlapping only partly."""
    starts = np.array([patch.start for patch in patches])
    stops = np.array([patch.stop for patch in patches])
    sizes = [int(np.count_nonzero(patch.mask)) for patch in patches]
    group = np.arange(len(patches))
    for one, patch in enumerate(patches):
        meet = (np.maximum(starts[one], starts) < np.minimum(stops[one], stops)).all(axis=1)
        for other in np.flatnonzero(meet & (group != group[one])).tolist():
            shared = _shared(patch, patches[other])
            if 0 < shared < min(sizes[one], sizes[other]):
                group[group == group[other]] = group[one]
    members = (np.flatnonzero(group == its).tolist() for its in np.unique(group))
    return [[patches[n] for n in those] for those in members]


def _shared(one: Patch, other: Patch) -> int:
    """Return how many pixels two loops whose boxes meet have in common."""
    start, stop = np.maximum(one.start, other.start), np.minimum(one.stop, other.stop)
    (x, y), size = start.tolist(), stop - start
    both = Patch((x, y), np.ones(size, bool))
    for patch in (one, other):
        both.mask[...] &= patch.mask[_within(both, patch)]
    return int(np.count_nonzero(both.mask))
