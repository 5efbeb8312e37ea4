"""The smallest box of voxels around masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Box = tuple[slice, ...]


def box_of(*masks: np.ndarray) -> Box | None:
    """Return the box around all voxels of masks on one grid that are not 0; None without any.

    Examples
    --------
    >>> box_of(np.array([[False, False], [True, False]]))
    (slice(1, 2, None), slice(0, 1, None))
    """
    boxes = [box for box in map(_box_of_one, masks) if box]
    return joined(boxes) if boxes else None


def joined(boxes: list[Box]) -> Box:
    """Return the smallest box that holds one or more boxes."""
    return tuple(
        slice(min(one.start for one in along), max(one.stop for one in along))
        for along in zip(*boxes, strict=True)
    )


def moved(box: Box, start: Box) -> Box:
    """Return a box within another as a box of the whole image."""
    return tuple(
        slice(one.start + at.start, one.stop + at.start) for one, at in zip(box, start, strict=True)
    )


def surrounded(mask: np.ndarray, margin: Sequence[int]) -> np.ndarray:
    """Return a bool mask with so many voxels outside before and after each axis.

    A tenth of the time of ``np.pad`` on small masks.
    """
    wide = np.zeros([n + 2 * more for n, more in zip(mask.shape, margin, strict=True)], bool)
    wide[tuple(slice(more, more + n) for n, more in zip(mask.shape, margin, strict=True))] = mask
    return wide


def at_border(box: Box, shape: Sequence[int]) -> bool:
    """Return whether a box reaches an edge of an image of this shape.

    An axis of one voxel has no edges: a single slice touches only within its plane.
    """
    return any(
        length > 1 and (along.start == 0 or along.stop == length)
        for along, length in zip(box, shape, strict=True)
    )


def _box_of_one(mask: np.ndarray) -> Box | None:
    """Find the box in the shadow along the first axis, then along that axis within it."""
    if mask.ndim == 1:
        held = np.flatnonzero(mask)
        return (slice(int(held[0]), int(held[-1]) + 1),) if held.size else None
    others = _box_of_one(
        np.asarray(mask.any(axis=0))
    )  # along memory: the fastest of all reductions
    if others is None:
        return None
    line = np.asarray(mask[(slice(None), *others)].any(axis=tuple(range(1, mask.ndim))))
    return (*(_box_of_one(line) or ()), *others)
