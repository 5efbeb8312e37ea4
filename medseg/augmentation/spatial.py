"""Turning, scaling and mirroring a patch, sampled once from the whole stored case."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

Patch = tuple[int, int, int]


@dataclass(frozen=True, eq=False, slots=True)
class Placement:
    """Where the voxels of a patch are taken from: source index = ``matrix`` @ offset + centre.

    The offset of a patch voxel counts from the patch's middle. An identity ``matrix`` with
    flips needs no interpolation.
    """

    matrix: np.ndarray  # (3, 3), source voxels a patch voxel
    flips: tuple[bool, bool, bool]
    plain: bool  # matrix is the identity


@dataclass(frozen=True, slots=True)
class Spatial:
    """Random rotation and scaling, each for a fifth of the samples, and mirroring.

    Parameters
    ----------
    spacing : (float, float, float)
        Of the network's grid in mm. Rotation is in millimetres, so that anisotropic voxels
        do not shear the anatomy.
    degrees : (float, float, float)
        Largest angle about each axis.
    scales : (float, float)
        Range of the size factor; above 1 structures get larger.
    mirror_axes : tuple of int
        Mirrored with probability one half each.
    """

    spacing: tuple[float, float, float]
    degrees: tuple[float, float, float] = (30.0, 30.0, 30.0)
    scales: tuple[float, float] = (0.7, 1.4)
    rotate_probability: float = 0.2
    scale_probability: float = 0.2
    mirror_axes: tuple[int, ...] = (0, 1, 2)

    def draw(self, rng: np.random.Generator) -> Placement:
        """Draw where a patch is taken from."""
        turn, size = np.eye(3), 1.0
        if rotated := rng.random() < self.rotate_probability:
            turn = _rotation(np.radians(rng.uniform(-1, 1, 3) * self.degrees))
        if scaled := rng.random() < self.scale_probability:
            size = rng.uniform(*self.scales)
        mirrored = rng.random(3) < 0.5
        flips = [bool(mirrored[axis]) and axis in self.mirror_axes for axis in range(3)]
        spacing = np.asarray(self.spacing)
        matrix = turn * spacing / spacing[:, None] / size  # mm rotation between voxel axes
        return Placement(matrix, (flips[0], flips[1], flips[2]), not (rotated or scaled))


def _rotation(angles: np.ndarray) -> np.ndarray:
    """Return the rotation about axes i, j, k in turn, as a (3, 3) matrix."""
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (n for n in range(3) if n != axis)
        one = np.eye(3)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        turn = one @ turn
    return turn


def cut(array: np.ndarray, centre: np.ndarray, placement: Placement, patch: Patch) -> np.ndarray:
    """Return a patch of ``(I, J, K)``; integers by nearest voxel, floats linearly, 0 outside.

    Only the box that the patch maps onto is read, so a memory-mapped array stays on disk.
    """
    if placement.plain:
        out = _window(array, np.asarray(centre) - np.asarray(patch) // 2, patch)
    else:
        half = (np.asarray(patch) - 1) / 2
        reach = np.abs(placement.matrix) @ half + 1  # one voxel more for interpolation
        start = np.floor(centre - reach).astype(int)
        box = np.ceil(centre + reach).astype(int) + 1 - start
        whole = np.issubdtype(array.dtype, np.integer)
        out = ndimage.affine_transform(
            _window(array, start, tuple(box.tolist())),
            placement.matrix,
            offset=centre - start - placement.matrix @ half,
            output_shape=patch,
            order=0 if whole else 1,
            prefilter=False,
        )
    return out[tuple(slice(None, None, -1 if flip else 1) for flip in placement.flips)]


def _window(array: np.ndarray, start: np.ndarray, shape: Patch) -> np.ndarray:
    """Return a copy of a box that may hang over the edges, where it is 0; float16 as float32."""
    out = np.zeros(shape, np.float32 if array.dtype == np.float16 else array.dtype)
    source, target = [], []
    for low, length, size in zip(start.tolist(), shape, array.shape, strict=True):
        inside = slice(max(low, 0), max(min(low + length, size), max(low, 0)))
        source.append(inside)
        target.append(slice(inside.start - low, inside.stop - low))
    out[tuple(target)] = array[tuple(source)]
    return out
