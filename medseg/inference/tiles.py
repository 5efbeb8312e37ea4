"""A large image through a network of fixed input size: overlapping tiles, blended."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import reduce
from itertools import product

import cv2
import numpy as np

from medseg.errors import EngineFailed
from medseg.geometry import Shape

STEP = 0.5  # of a tile, between neighbours: nnU-Net's default
SIGMA = 1 / 8  # of a tile's side: nnU-Net's Gaussian

Compute = Callable[[np.ndarray], np.ndarray]
Progress = Callable[[int, int], None]


def tile_starts(shape: Shape, patch: Shape, step: float = STEP) -> list[Shape]:
    """Return the first voxel of each tile, in array order.

    The fewest tiles whose distance is at most ``step`` of the tile, spread evenly and
    rounded, as in nnU-Net's ``compute_steps_for_sliding_window``. An axis not longer than
    the tile has one start, 0.

    Examples
    --------
    >>> tile_starts((1, 4, 10), (1, 4, 4))
    [(0, 0, 0), (0, 0, 2), (0, 0, 4), (0, 0, 6)]
    """
    i, j, k = (_axis_starts(size, side, step) for size, side in zip(shape, patch, strict=True))
    return list(product(i, j, k))


def _axis_starts(size: int, side: int, step: float) -> list[int]:
    if size <= side:
        return [0]
    count = math.ceil((size - side) / max(1.0, side * step)) + 1  # slices of one voxel: each once
    return [round(n * (size - side) / (count - 1)) for n in range(count)]


def gaussian_weights(patch: Shape) -> np.ndarray:
    """Return how much each voxel of a tile counts, ``(I, J, K)`` float32, 1 at the centre.

    A Gaussian of deviation side / 8 on each axis: a voxel near the border of a tile saw less
    of its surroundings and counts less. Never 0 (4e-11 in the corner of a large tile).
    """
    return _outer([_bell(side) for side in patch])


def _bell(side: int) -> np.ndarray:
    place = np.arange(side) - (side - 1) / 2
    bell = np.exp(-0.5 * np.square(place / (side * SIGMA)))
    return np.asarray(bell, np.float32)


def _outer(profiles: list[np.ndarray]) -> np.ndarray:
    return np.asarray(reduce(np.multiply.outer, profiles))


def memory_needed(shape: Shape, patch: Shape, channels: int, classes: int) -> int:
    """Return the bytes that :func:`predict` holds at its height, input included.

    Float32 logits of every class and the image, padded to one tile at least, and a few tiles.
    What the engine needs for one tile comes on top.
    """
    padded = math.prod(max(size, side) for size, side in zip(shape, patch, strict=True))
    image = math.prod(shape) + (padded if padded > math.prod(shape) else 0)
    tile = math.prod(patch) * (2 * channels + 4 * classes + 1)  # logits, weights, a mirrored one
    return 4 * (image * channels + padded * classes + tile)


def predict(
    engine: Compute | Iterable[Compute],
    array: np.ndarray,
    patch: Shape,
    *,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the logits of a whole image, of several networks their mean.

    Parameters
    ----------
    engine : callable, or iterable of callables
        From ``(1, *patch, C)`` float32 to logits ``(1, *patch, classes)``; of a 2-D patch
        ``(1, J, K)`` the network gets ``(1, J, K, C)``, one slice. Several are taken one after
        the other, each through all tiles, so that an iterable may load them one at a time.
    array : (I, J, K, C) float32 array
        Normalised. An axis shorter than the patch is padded with 0 on both sides.
    patch : (int, int, int)
        Tile size in voxels; every tile has it.
    progress : callable, optional
        Called with the number of tiles done and of all, for each network anew.

    Returns
    -------
    (classes, I, J, K) float32 array

    Raises
    ------
    EngineFailed
        ``logits-not-finite``, ``logits-shape``: the engine gave something else.

    Notes
    -----
    Tiles are weighted by :func:`gaussian_weights`. Starts and weights are products over the
    axes, hence the sum of weights at a voxel is one too: it is never held as an image. The
    logits of all networks go into one sum: an ensemble takes no more memory than a network.
    """
    padded, inner = _padded(array, patch)
    starts = tile_starts(padded.shape[:3], patch)
    weights = gaussian_weights(patch)
    sums: np.ndarray | None = None
    networks = 0
    for one in [engine] if callable(engine) else engine:
        networks += 1
        for done, start in enumerate(starts, 1):
            box = tuple(slice(n, n + side) for n, side in zip(start, patch, strict=True))
            logits = _logits(one, padded[box])  # (classes, *patch)
            if len(starts) > 1:
                logits *= weights
            if sums is None and len(starts) == 1:
                sums = logits
            else:
                if sums is None:
                    sums = np.zeros((len(logits), *padded.shape[:3]), np.float32)
                _add(sums[:, *box], logits)
            if progress is not None:
                progress(done, len(starts))
    if sums is None:
        raise ValueError("an average needs one network at least")
    if len(starts) > 1:
        _divide_by_weights(sums, patch)
    if networks > 1:
        sums /= networks
    return np.ascontiguousarray(sums[:, *inner])


def _add(sums: np.ndarray, logits: np.ndarray) -> None:
    if len(sums) != len(logits):
        raise EngineFailed(
            "logits-shape",
            f"A network of the ensemble gave {len(logits)} classes, the first {len(sums)}",
        )
    sums += logits


def _padded(array: np.ndarray, patch: Shape) -> tuple[np.ndarray, tuple[slice, ...]]:
    """Return the image at least as large as a tile, and where the image lies in it."""
    missing = [max(0, side - size) for size, side in zip(array.shape[:3], patch, strict=True)]
    inner = tuple(slice(m // 2, m // 2 + n) for m, n in zip(missing, array.shape[:3], strict=True))
    if not any(missing):
        return array, inner
    return np.pad(array, [*((m // 2, m - m // 2) for m in missing), (0, 0)]), inner


def _logits(engine: Compute, tile: np.ndarray) -> np.ndarray:
    """Return one tile's logits class-first, checked, as a new float32 array."""
    spatial = tile.shape[1:3] if tile.shape[0] == 1 else tile.shape[:3]
    batch = np.ascontiguousarray(tile, dtype=np.float32).reshape(1, *spatial, tile.shape[3])
    out = np.ascontiguousarray(engine(batch), dtype=np.float32)  # (1, *spatial, classes)
    if out.shape[:-1] != batch.shape[:-1]:
        raise EngineFailed(
            "logits-shape", f"The network made {out.shape} of a tile of {batch.shape}"
        )
    if not np.isfinite(out).all():
        raise EngineFailed(
            "logits-not-finite",
            "The network gave a value that is not a number",
            do="Try --precision f32; if it stays, the weights do not fit this kind of image",
        )
    # three times as fast as numpy's transposed copy for 25 classes
    planes = cv2.transpose(out.reshape(-1, out.shape[-1]))
    return np.reshape(planes, (-1, *tile.shape[:3]))


def _divide_by_weights(sums: np.ndarray, patch: Shape) -> None:
    """Divide ``(classes, I, J, K)`` in place by the sum of weights at each voxel."""
    totals = []
    for size, side in zip(sums.shape[1:], patch, strict=True):
        total, bell = np.zeros(size, np.float32), _bell(side)
        for start in _axis_starts(size, side, STEP):
            total[start : start + side] += bell
        totals.append(total)
    plane = _outer(totals[1:])
    for i, total in enumerate(totals[0]):
        sums[:, i] /= total * plane
