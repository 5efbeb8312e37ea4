"""Reading a patch from a stored case at a placement: image linearly, classes by nearest voxel."""

from __future__ import annotations

import cv2
import numpy as np

from medseg.augmentation.frame import Patch
from medseg.augmentation.spatial import Placement

LARGEST_SIDE = 32_000  # of a picture in OpenCV's remap, which keeps places in 16 bits
_FOR_REMAP = (np.uint8, np.uint16, np.int16)


def cut(
    image: np.ndarray, classes: np.ndarray, centre: np.ndarray, placement: Placement, patch: Patch
) -> tuple[np.ndarray, np.ndarray]:
    """Return a patch of a case; outside the case both are 0.

    Only the box that the patch maps onto is read, so a memory-mapped case stays on disk; and
    as it is read from the whole case, a turned patch has no empty corners.

    Parameters
    ----------
    image : (I, J, K, C) array
    classes : (I, J, K) integer array
    centre : (3,) array
        Voxel of the case that comes to voxel ``patch // 2``.
    placement : Placement
    patch : (int, int, int)

    Returns
    -------
    (C, i, j, k) float32 array, (i, j, k) array
        New ones, the second of the type of ``classes``.
    """
    corner = np.asarray(centre) - np.asarray(patch) // 2
    if placement.plain:
        channels, numbers = _read(image, classes, corner, patch)
    else:
        places, start, box = _places(corner, placement, patch)
        channels, numbers = _read(image, classes, start, box)
        channels = np.stack([_linear(channel, places) for channel in channels])
        numbers = _nearest(numbers, places)
    flips = tuple(slice(None, None, -1 if flip else 1) for flip in placement.flips)
    return np.ascontiguousarray(channels[:, *flips]), np.ascontiguousarray(numbers[flips])


def _places(
    corner: np.ndarray, placement: Placement, patch: Patch
) -> tuple[np.ndarray, np.ndarray, Patch]:
    """Return where each voxel comes from in a box of the case, and start and shape of the box.

    The box has a voxel more on each side than linear interpolation asks for.
    """
    matrix, half = placement.matrix, (np.asarray(patch) - 1) / 2
    reach = np.abs(matrix) @ (half if placement.bend is None else half + placement.bend.reach)
    start = np.floor(corner + half - reach).astype(int) - 1
    i, j, k = (np.ceil(corner + half + reach).astype(int) + 2 - start).tolist()
    middle = corner + half - start
    if placement.bend is None:
        along = [np.arange(size) - centre for size, centre in zip(patch, half, strict=True)]
        places = np.empty((3, *patch), np.float32)
        for axis, row in enumerate(matrix):
            a, b, c = ((place * factor).astype(np.float32)
                       for place, factor in zip(along, row, strict=True))  # fmt: skip
            plane = b[:, None] + c
            np.add((a + np.float32(middle[axis]))[:, None, None], plane, out=places[axis])
        return places, start, (i, j, k)
    offsets = placement.bend.field(patch)
    for axis, size in enumerate(patch):
        along_axis = (np.arange(size) - half[axis]).astype(np.float32)
        offsets[axis] += along_axis.reshape([-1 if n == axis else 1 for n in range(3)])
    places = np.tensordot(matrix.astype(np.float32), offsets, 1)
    places += middle.astype(np.float32)[:, None, None, None]
    return places, start, (i, j, k)


def _read(
    image: np.ndarray, classes: np.ndarray, start: np.ndarray, box: Patch
) -> tuple[np.ndarray, np.ndarray]:
    """Return new arrays ``(C, i, j, k)`` float32 and ``(i, j, k)`` of a box; 0 outside the case."""
    inside, target = [], []
    for low, length, size in zip(start.tolist(), box, classes.shape, strict=True):
        first = min(max(low, 0), size)
        last = max(min(low + length, size), first)
        inside.append(slice(first, last))
        target.append(slice(first - low, last - low))
    channels = np.zeros((image.shape[-1], *box), np.float32)
    channels[:, *target] = np.moveaxis(image[tuple(inside)], -1, 0)
    numbers = np.zeros(box, classes.dtype)
    numbers[tuple(target)] = classes[tuple(inside)]
    return channels, numbers


def _linear(source: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return values between voxels: two slices interpolated in their plane, then between them.

    OpenCV's remap in a picture of all slices one below the other; three to five times as fast
    as SciPy's ``map_coordinates``, and equal to 1e-3 of a voxel.
    """
    first = np.floor(places[0])
    low, high = int(first.min()), int(first.max())
    j, k = source.shape[1:]
    if (high + 2 - low) * j > LARGEST_SIDE:
        return _in_halves(_linear, source, places)
    shape = places.shape[1:]
    tall = source[low : high + 2].reshape(-1, k)
    down = ((first - np.float32(low)) * np.float32(j) + places[1]).reshape(-1, shape[2])
    across = places[2].reshape(-1, shape[2])
    here = _remap(tall, across, down, cv2.INTER_LINEAR).reshape(shape)
    between = places[0] - first
    if between.any():  # not so for a patch that is turned in its plane
        there = _remap(tall, across, down + np.float32(j), cv2.INTER_LINEAR).reshape(shape)
        there -= here
        there *= between
        here += there
    return here


def _nearest(source: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the values of the nearest voxels."""
    if source.dtype.type not in _FOR_REMAP:
        from scipy import ndimage  # of rare types only, and slow to import

        return ndimage.map_coordinates(source, places, order=0, prefilter=False)
    first = np.rint(places[0])
    low, high = int(first.min()), int(first.max())
    j, k = source.shape[1:]
    if (high + 2 - low) * j > LARGEST_SIDE:
        return _in_halves(_nearest, source, places)
    shape = places.shape[1:]
    down = ((first - np.float32(low)) * np.float32(j) + places[1]).reshape(-1, shape[2])
    tall = source[low : high + 1].reshape(-1, k)
    return _remap(tall, places[2].reshape(-1, shape[2]), down, cv2.INTER_NEAREST).reshape(shape)


def _remap(tall: np.ndarray, across: np.ndarray, down: np.ndarray, how: int) -> np.ndarray:
    pieces = [cv2.remap(tall, across[n : n + LARGEST_SIDE], down[n : n + LARGEST_SIDE], how)
              for n in range(0, len(across), LARGEST_SIDE)]  # fmt: skip
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _in_halves(how, source: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Sample the halves of a patch apart: each reads fewer slices."""
    axis = int(np.argmax(places.shape[1:]))
    halves = np.array_split(places, 2, axis=axis + 1)
    return np.concatenate([how(source, np.ascontiguousarray(one)) for one in halves], axis=axis)
