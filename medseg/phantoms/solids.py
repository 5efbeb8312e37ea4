"""Closed smooth shapes in patient millimetres, and how much of each voxel they fill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from medseg.geometry import Geometry, Shape, cropped

LONG_MM = 2000.0  # a radius that leaves no end in sight: ellipsoids become cylinders and slabs
DIRECTIONS = 20_000  # samples of the sphere for volumes: exact to 1e-5 for lumps up to degree 6


@dataclass(frozen=True, eq=False, slots=True)
class Lump:
    """A smooth unevenness of a surface: the Chebyshev polynomial of the angle to a direction.

    Attributes
    ----------
    degree : int
        Number of waves around the body; 1 shifts, 2 stretches, more wrinkles.
    direction : (3,) array
        Unit vector in the frame of the solid.
    height : float
        Part of the radius.
    """

    degree: int
    direction: np.ndarray
    height: float

    def of(self, unit: Sequence[np.ndarray]) -> np.ndarray:
        """Return the height at unit vectors, given by their three components."""
        x, y, z = self.direction.tolist()
        cosine = x * unit[0] + y * unit[1] + z * unit[2]
        before, now = np.ones_like(cosine), cosine
        for _ in range(self.degree - 1):
            before, now = now, 2 * cosine * now - before
        height: np.ndarray = self.height * now
        return height


@dataclass(frozen=True, eq=False, slots=True)
class Solid:
    """A lumpy ellipsoid, or a box with round edges, anywhere in the patient.

    Only sums, products and square roots decide what is inside: these are rounded alike on
    every machine, so that a phantom is the same everywhere.

    Attributes
    ----------
    centre : (3,) array
        RAS+ mm.
    frame : (3, 3) array
        Takes an offset from the centre in mm to the frame in which the solid has radius 1.
    lumps : tuple of Lump
        What is added to that radius.
    square : bool
        Whether the fourth powers of the coordinates are summed in place of the squares; such
        a solid has no lumps.
    """

    centre: np.ndarray
    frame: np.ndarray
    lumps: tuple[Lump, ...] = ()
    square: bool = False

    @property
    def reach(self) -> float:
        """The largest length that a point inside can have in the frame."""
        corner = 3**0.25 if self.square else 1.0  # x = y = z on the unit sphere of 4th powers
        return corner * (1 + sum(abs(lump.height) for lump in self.lumps))

    @property
    def size_mm(self) -> float:
        """The geometric mean of the radii, lumps left out."""
        return float(abs(np.linalg.det(self.frame)) ** (-1 / 3))

    def scaled(self, factor: float) -> Solid:
        """Return the same shape about the same centre, larger or smaller."""
        return replace(self, frame=self.frame / factor)

    def box(self, geometry: Geometry) -> tuple[Shape, Shape] | None:
        """Return start and shape of the voxels that may be touched; None when none is."""
        onto_index = np.linalg.inv(geometry.affine[:3, :3])
        middle = onto_index @ (self.centre - geometry.affine[:3, 3])
        half = self.reach * np.linalg.norm(onto_index @ np.linalg.inv(self.frame), axis=1) + 1
        start = np.clip(np.floor(middle - half), 0, geometry.shape).astype(int)
        stop = np.clip(np.ceil(middle + half) + 1, 0, geometry.shape).astype(int)
        if (stop <= start).any():
            return None
        (i, j, k), (ni, nj, nk) = start.tolist(), (stop - start).tolist()
        return (i, j, k), (ni, nj, nk)

    def coverage(self, geometry: Geometry) -> np.ndarray:
        """Return the part of each voxel that lies inside, 0 to 1.

        The surface is taken as flat within a voxel and the voxel as a ramp as wide as its
        edges, seen along the normal, are in the root mean square: exact for a face, any
        obliquity, anisotropy and shear. Above 1/2 exactly where the centre is inside.
        """
        onto_frame = self.frame @ geometry.affine[:3, :3]
        origin = self.frame @ (geometry.affine[:3, 3] - self.centre)
        i, j, k = np.ogrid[tuple(slice(n) for n in geometry.shape)]
        at = [
            np.float32(a) * i.astype(np.float32)
            + (np.float32(b) * j.astype(np.float32) + np.float32(c) * k.astype(np.float32))
            + np.float32(d)
            for (a, b, c), d in zip(onto_frame, origin, strict=True)
        ]  # three (I, J, K) coordinates in the frame
        level, normal = self._level(at)
        steepness = _quadratic(onto_frame @ onto_frame.T, normal)  # squared, per voxel
        cover: np.ndarray = 0.5 - level / np.sqrt(np.maximum(steepness, 1e-12))
        return np.clip(cover, 0, 1, out=cover)

    def contains(self, positions: np.ndarray) -> np.ndarray:
        """Return which of the RAS+ mm ``(N, 3)`` lie inside."""
        level, _ = self._level(list(((positions - self.centre) @ self.frame.T).T))
        inside: np.ndarray = level < 0
        return inside

    def surface(self, directions: np.ndarray) -> np.ndarray:
        """Return the RAS+ mm where rays ``(N, 3)`` of the frame leave the solid."""
        level, _ = self._level(list(directions.T))  # of unit vectors: norm - 1 - lumps
        outward = 1 + sum(lump.of(list(directions.T)) for lump in self.lumps)
        offset = directions * (outward / (level + outward))[:, None]  # (N, 3), in the frame
        edge: np.ndarray = self.centre + offset @ np.linalg.inv(self.frame).T
        return edge

    def volume_ml(self) -> float:
        """Return the volume, integrated over directions and owing nothing to a grid."""
        rays = (self.surface(sphere(DIRECTIONS)) - self.centre) @ self.frame.T
        cubes = (rays**2).sum(axis=1) ** 1.5
        return float(4 / 3 * math.pi * cubes.mean() / abs(np.linalg.det(self.frame)) / 1000)

    def _level(self, at: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return norm minus radius, and the gradient of the norm, in the frame."""
        squares = [x * x for x in at]
        if self.square:
            fourth = sum((s * s for s in squares[1:]), squares[0] * squares[0])
            norm = np.maximum(np.sqrt(np.sqrt(fourth)), 1e-6)
            cubed = norm * norm * norm
            return norm - 1, [x * s / cubed for x, s in zip(at, squares, strict=True)]
        norm = np.maximum(np.sqrt(squares[0] + squares[1] + squares[2]), 1e-6)
        unit = [x / norm for x in at]
        level = norm - 1
        for lump in self.lumps:
            level -= lump.of(unit)
        return level, unit


def _quadratic(form: np.ndarray, x: Sequence[np.ndarray]) -> np.ndarray:
    """Return x'Fx for vectors given by their components; no product of matrices, see Solid."""
    (a, d, e), (_, b, f), (_, _, c) = form.tolist()
    mixed = x[0] * (2 * d * x[1] + 2 * e * x[2]) + 2 * f * (x[1] * x[2])
    total: np.ndarray = a * (x[0] * x[0]) + b * (x[1] * x[1]) + c * (x[2] * x[2]) + mixed
    return total


def ellipsoid(
    centre: ArrayLike,
    radii: ArrayLike,
    axes: np.ndarray | None = None,
    lumps: tuple[Lump, ...] = (),
    *,
    square: bool = False,
) -> Solid:
    """Return a solid of these radii in mm along ``axes``, unit vectors in columns."""
    turn = np.eye(3) if axes is None else axes
    return Solid(
        np.asarray(centre, dtype=float), turn.T / np.asarray(radii)[:, None], lumps, square
    )


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """Return the rotation about axis ``(x, y, z)`` by twice the arc tangent of its length.

    Examples
    --------
    >>> rotation(0, 0, 1)  # a quarter turn from x to y
    array([[ 0., -1.,  0.],
           [ 1.,  0.,  0.],
           [ 0.,  0.,  1.]])
    """
    whole = 1 + x * x + y * y + z * z  # squared length of the quaternion (1, x, y, z)
    rows = [
        [1 + x * x - y * y - z * z, 2 * (x * y - z), 2 * (x * z + y)],
        [2 * (x * y + z), 1 - x * x + y * y - z * z, 2 * (y * z - x)],
        [2 * (x * z - y), 2 * (y * z + x), 1 - x * x - y * y + z * z],
    ]
    return np.array(rows, dtype=float) / whole


def along(direction: ArrayLike) -> np.ndarray:
    """Return unit vectors, in columns, of which the third points in this direction."""
    third = np.asarray(direction, dtype=float)
    third = third / np.sqrt((third * third).sum())
    aside = np.eye(3)[int(np.abs(third).argmin())]
    first = np.cross(aside, third)
    first = first / np.sqrt((first * first).sum())
    return np.stack([first, np.cross(third, first), third], axis=1)


def sphere(count: int) -> np.ndarray:
    """Return ``(count, 3)`` unit vectors spread evenly (Fibonacci lattice)."""
    n = np.arange(count)
    z = 1 - (2 * n + 1) / count
    turn = math.pi * (3 - math.sqrt(5)) * n
    ring = np.sqrt(1 - z * z)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1)


def cut(geometry: Geometry, solid: Solid) -> tuple[tuple[slice, slice, slice], Geometry] | None:
    """Return where in an array a solid may be, and the grid of that part."""
    box = solid.box(geometry)
    if box is None:
        return None
    (i, j, k), (ni, nj, nk) = box
    part = (slice(i, i + ni), slice(j, j + nj), slice(k, k + nk))
    return part, cropped(geometry, *box)
