"""Patient space of DICOM and ours: LPS to RAS and back, the one place with that sign flip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from medseg.geometry import Geometry

_FLIP = np.array([-1.0, -1.0, 1.0])  # x and y point the other way, z is shared


def from_lps(points: ArrayLike) -> np.ndarray:
    """Return points or vectors ``(..., 3)`` in RAS+ mm that are given in DICOM's LPS mm."""
    flipped: np.ndarray = np.asarray(points, dtype=np.float64) * _FLIP
    return flipped


def to_lps(points: ArrayLike) -> np.ndarray:
    """Return points or vectors ``(..., 3)`` in DICOM's LPS mm that are given in RAS+ mm."""
    flipped: np.ndarray = np.asarray(points, dtype=np.float64) * _FLIP
    return flipped


def affine_from(axes: str, affine: np.ndarray) -> np.ndarray:
    """Return the affine to RAS+ of one to a space whose axes point this way: ``"LPS"``.

    Examples
    --------
    >>> affine_from("LAS", np.eye(4)).diagonal().tolist()
    [-1.0, 1.0, 1.0, 1.0]
    """
    signs = [1.0 if axis == ours else -1.0 for axis, ours in zip(axes, "RAS", strict=True)]
    turned: np.ndarray = np.diag([*signs, 1.0]) @ affine
    return turned


def slice_normal(orientation: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the LPS direction row x column of an Image Orientation (Patient)."""
    return np.cross(orientation[:3], orientation[3:])


def affine_from_slices(
    position: ArrayLike,
    orientation: Sequence[float] | np.ndarray,
    pixel_spacing: Sequence[float] | np.ndarray,
    step: ArrayLike,
) -> np.ndarray:
    """Return the (4, 4) affine to RAS+ mm of an array indexed (column, row, slice).

    PS3.3 C.7.6.2.1.1, with the third column taken from the positions so that a tilted gantry
    keeps its shear.

    Parameters
    ----------
    position : (3,) array
        Image Position (Patient) of slice 0: the centre of its first pixel, LPS mm.
    orientation : six floats
        Image Orientation (Patient): direction of increasing column index, then of
        increasing row index; unit vectors.
    pixel_spacing : two floats
        Pixel Spacing in DICOM's order: between rows, then between columns, mm.
    step : (3,) array
        From the position of one slice to that of the next, LPS mm.

    Examples
    --------
    >>> affine_from_slices((-10, -20, 5), (1, 0, 0, 0, 1, 0), (0.5, 0.7), (0, 0, 3)).tolist()[0]
    [-0.7, -0.0, -0.0, 10.0]
    """
    affine = np.eye(4)
    affine[:3, 0] = from_lps(orientation[:3]) * pixel_spacing[1]
    affine[:3, 1] = from_lps(orientation[3:]) * pixel_spacing[0]
    affine[:3, 2] = from_lps(step)
    affine[:3, 3] = from_lps(position)
    return affine


def slice_position(geometry: Geometry, k: int) -> np.ndarray:
    """Return Image Position (Patient) of slice ``k``: the centre of voxel (0, 0, k), LPS mm."""
    return to_lps(geometry.positions(np.array([0, 0, k])))


def slice_orientation(geometry: Geometry) -> np.ndarray:
    """Return Image Orientation (Patient), six cosines: of axis i (columns), then of axis j."""
    return to_lps(geometry.directions[:, :2].T).ravel()


def pixel_spacing(geometry: Geometry) -> tuple[float, float]:
    """Return Pixel Spacing in DICOM's order: between rows (j), then between columns (i), mm."""
    i, j, _ = geometry.spacing
    return (j, i)
