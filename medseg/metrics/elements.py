"""Surface elements of a mask: where its surface passes between voxels, and with what area.

A surface element sits at each corner where 8 voxels meet (4 pixels in 2-D) that are not all
inside or all outside. Which of them are inside is its neighbour code, 1 bit a voxel; the code and
the spacing give its area. These are the definitions of DeepMind's surface-distance (Nikolov et
al., "Clinically applicable segmentation of head and neck anatomy", JMIR 2021).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product

import numpy as np

from medseg.metrics.box import surrounded

Corner = tuple[int, ...]
Point = tuple[float, ...]
Triangulation = list[tuple[int, int, int]]


def neighbour_codes(mask: np.ndarray) -> np.ndarray:
    """Return the neighbour code of every corner between voxels.

    Parameters
    ----------
    mask : (I, J) or (I, J, K) bool array
        What lies beyond its edges counts as outside.

    Returns
    -------
    (I + 1, J + 1[, K + 1]) uint8 array
        The corner with index ``(i, j, k)`` is the one before voxel ``(i, j, k)``. Bit
        ``4 di + 2 dj + dk`` is set where voxel ``(i - 1 + di, j - 1 + dj, k - 1 + dk)`` is inside.

    Examples
    --------
    >>> neighbour_codes(np.array([[True]]))
    array([[8, 4],
           [2, 1]], dtype=uint8)
    """
    codes = surrounded(mask, (1,) * mask.ndim).view(np.uint8)
    for bits, axis in zip((1, 2, 4), reversed(range(mask.ndim)), strict=False):
        ahead = np.moveaxis(codes, axis, 0)[1:] << np.uint8(bits)
        ahead |= np.moveaxis(codes, axis, 0)[:-1]
        codes = np.moveaxis(ahead, 0, axis)
    return codes


def on_surface(codes: np.ndarray, axes: int) -> np.ndarray:
    """Return where a code is that of a surface element: neither none nor all are inside."""
    every = (1 << (1 << axes)) - 1  # 15 in 2-D, 255 in 3-D
    held: np.ndarray = (codes != 0) & (codes != every)
    return held


@lru_cache(maxsize=64)
def element_areas(spacing: tuple[float, ...]) -> np.ndarray:
    """Return the area in mm2 of the surface element of each code; in 2-D its length in mm.

    Each cube between 8 voxel centres is crossed by the closed contours that marching cubes
    draws: on every face, segments between the middles of those edges whose ends differ. On an
    ambiguous face (two inside, diagonally) they cut off the corners that are fewer in the cube.
    A contour of more than four points lies in no plane, so its area depends on how it is cut
    into triangles; taken is the cut of largest area in the unit cube, whatever the spacing.
    That is what reproduces surface-distance's areas, for every code and spacing.

    Parameters
    ----------
    spacing : tuple of 2 or 3 float
        Voxel size along the array axes in mm.

    Returns
    -------
    (256,) or (16,) array

    Examples
    --------
    >>> areas = element_areas((1.0, 1.0, 1.0))
    >>> round(8 * float(areas[1]), 6), float(areas[15])  # one voxel's corner; a plane
    (1.732051, 1.0)
    """
    if len(spacing) == 2:
        areas = np.array([_contour_length(code, spacing) for code in range(16)])
    else:
        triangles, codes = _triangles()
        a, b, c = np.moveaxis(triangles * np.asarray(spacing), 1, 0)  # each (T, 3)
        areas = np.bincount(codes, np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2, 256)
    areas.flags.writeable = False  # kept and shared
    return areas


def _contour_length(code: int, spacing: tuple[float, ...]) -> float:
    square = list(product((0, 1), repeat=2))
    inside = {corner: bool(code >> bit & 1) for bit, corner in enumerate(square)}
    ring = [(0, 0), (0, 1), (1, 1), (1, 0)]
    pieces = np.array(_segments(ring, inside, True), dtype=float).reshape(-1, 2, 2)
    return float(np.linalg.norm((pieces[:, 1] - pieces[:, 0]) * spacing, axis=1).sum())


@lru_cache(maxsize=1)
def _triangles() -> tuple[np.ndarray, np.ndarray]:
    """Return all triangles of all codes in the unit cube, ``(T, 3, 3)``, and their codes."""
    cube = list(product((0, 1), repeat=3))
    triangles: list[np.ndarray] = []
    codes: list[int] = []
    for code in range(256):
        inside = {corner: bool(code >> bit & 1) for bit, corner in enumerate(cube)}
        for contour in _contours(inside):
            triangles.append(_cut(contour))
            codes += [code] * len(triangles[-1])
    return np.concatenate(triangles), np.array(codes)


def _contours(inside: Mapping[Corner, bool]) -> list[np.ndarray]:
    """Return the closed contours in the unit cube, each as ``(N, 3)`` points in turn."""
    fewer = sum(inside.values()) <= 4
    onward = defaultdict(list)
    for axis, side in product(range(3), (0, 1)):
        ring = [(*corner[:axis], side, *corner[axis:])
                for corner in ((0, 0), (0, 1), (1, 1), (1, 0))]  # fmt: skip
        for start, end in _segments(ring, inside, fewer):
            onward[start].append(end)
            onward[end].append(start)
    contours = []
    while onward:  # every point has two neighbours: walk until the round is closed
        point = next(iter(onward))
        contour = []
        while point in onward:
            contour.append(point)
            one, other = onward.pop(point)
            point = one if one in onward else other
        contours.append(np.array(contour))
    return contours


def _segments(
    ring: Sequence[Corner], inside: Mapping[Corner, bool], fewer: bool
) -> list[tuple[Point, Point]]:
    """Return the pieces of contour on one face, given its corners in turn."""
    crossed = [n for n in range(4) if inside[ring[n]] != inside[ring[n - 1]]]  # edge n-1 to n
    if len(crossed) == 4:  # ambiguous: cut off each corner that is of the fewer kind
        pairs = [(n, (n + 1) % 4) for n in range(4) if inside[ring[n]] == fewer]
    else:
        pairs = [(crossed[0], crossed[1])] if crossed else []
    middle = [tuple((a + b) / 2 for a, b in zip(ring[n], ring[n - 1], strict=True))
              for n in range(4)]  # fmt: skip
    return [(middle[start], middle[end]) for start, end in pairs]


def _cut(contour: np.ndarray) -> np.ndarray:
    """Return a contour as triangles, ``(T, 3, 3)``: of all ways that of the largest area."""
    ways = _cuts(0, len(contour) - 1)
    return max((contour[np.array(way)] for way in ways), key=_area)


def _cuts(first: int, last: int) -> list[Triangulation]:
    """Return every way to cut the polygon of points ``first`` to ``last`` into triangles."""
    if last - first < 2:
        return [[]]
    return [
        [*left, (first, tip, last), *right]
        for tip in range(first + 1, last)
        for left in _cuts(first, tip)
        for right in _cuts(tip, last)
    ]


def _area(triangles: np.ndarray) -> float:
    """Return twice the area, rounded so that of equal ways the first is taken."""
    a, b, c = np.moveaxis(triangles, 1, 0)
    return round(float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()), 9)
