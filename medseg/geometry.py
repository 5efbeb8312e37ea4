"""Where a grid of voxels lies in the patient: shape, affine, and the algebra of grids."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from medseg.errors import GeometryRefused

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]

SAME_PLACE_MM = 1e-3  # two grids are one when no corner moves by more (dicom.md 2)
SHEAR_COSINE = 1e-3  # axes further from square than this (0.06 degrees) are called sheared
SMALLEST_MM, LARGEST_MM = 1e-6, 1e6  # of a voxel: beyond these a header has lost its units
FLAT = 1e-6  # of the product of the sizes: a smaller voxel volume means axes in one plane
_POSITIVE, _NEGATIVE = "RAS", "LPI"


@dataclass(frozen=True, eq=False, slots=True)
class Geometry:
    """A grid: its shape and where each voxel lies in the patient.

    Parameters
    ----------
    shape : (int, int, int)
        Voxels along the array axes i, j, k.
    affine : (4, 4) array
        Maps a voxel index ``(i, j, k, 1)`` to its centre in **RAS+ millimetres**: x grows to
        the patient's right, y to the front (anterior), z to the head (superior). Columns may
        be oblique, of either handedness, and sheared (a tilted gantry).

    Raises
    ------
    GeometryRefused
        ``shape-invalid``, ``affine-invalid``: not a grid.

    Examples
    --------
    >>> grid = Geometry((4, 5, 6), np.diag([2.0, 1.0, 3.0, 1.0]))
    >>> grid.orientation, grid.spacing, grid.voxel_mm3
    ('RAS', (2.0, 1.0, 3.0), 6.0)
    """

    shape: Shape
    affine: np.ndarray

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryRefused("shape-invalid", f"{self.shape} is not a shape of three axes")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryRefused("affine-invalid", "The affine is not 4 x 4 finite numbers")
        if not np.array_equal(affine[3], (0, 0, 0, 1)) or not _invertible(affine[:3, :3]):
            raise GeometryRefused("affine-invalid", "The affine cannot be inverted")
        affine.flags.writeable = False
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @property
    def spacing(self) -> Spacing:
        """Distance between neighbouring voxels along i, j, k in mm."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return (i, j, k)

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel in mm3; exact for sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def directions(self) -> np.ndarray:
        """Unit vectors of the array axes in RAS+, as columns of a (3, 3) array."""
        unit: np.ndarray = self.affine[:3, :3] / self.spacing
        return unit

    @property
    def orientation(self) -> str:
        """Nearest anatomical direction of i, j, k, such as ``"LPS"``: i runs to the left."""
        code = [""] * 3
        for world, axis in enumerate(_nearest_axes(self.directions)):
            towards = _POSITIVE if self.directions[world, axis] > 0 else _NEGATIVE
            code[axis] = towards[world]
        return "".join(code)

    @property
    def sheared(self) -> bool:
        """Whether the axes are not at right angles, as in a CT with tilted gantry."""
        cosines = self.directions.T @ self.directions
        return bool(np.abs(cosines - np.eye(3)).max() > SHEAR_COSINE)

    @property
    def corners(self) -> np.ndarray:
        """The outer edges of the eight corner voxels in RAS+ mm, as an (8, 3) array."""
        edges = [(-0.5, n - 0.5) for n in self.shape]
        index = np.stack(np.meshgrid(*edges, indexing="ij"), axis=-1).reshape(8, 3)
        return self.positions(index)

    def positions(self, index: np.ndarray) -> np.ndarray:
        """Return the RAS+ mm of voxel indices ``(..., 3)``; fractions are allowed."""
        place: np.ndarray = np.asarray(index) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return place

    def same_as(self, other: Geometry, tolerance_mm: float = SAME_PLACE_MM) -> bool:
        """Return whether both grids have one shape and no corner differs by more than this."""
        return self.shape == other.shape and bool(
            np.abs(self.corners - other.corners).max() <= tolerance_mm
        )


def _invertible(axes: np.ndarray) -> bool:
    """Return whether voxels have a size (a nanometre to a kilometre) and axes span a space."""
    sizes = np.abs(axes).max(axis=0)
    if not ((sizes > SMALLEST_MM) & (sizes < LARGEST_MM)).all():
        return False
    return bool(abs(np.linalg.det(axes / sizes)) > FLAT)


def _nearest_axes(directions: np.ndarray) -> tuple[int, ...]:
    """Return for each world axis x, y, z the array axis that follows it best, each used once."""
    cosines = np.abs(directions)
    return max(permutations(range(3)), key=lambda axes: cosines[range(3), axes].sum())


@dataclass(frozen=True, slots=True)
class AxisMap:
    """A reordering of array axes: new axis n is old axis ``axes[n]``, reversed if ``flips[n]``."""

    axes: Shape
    flips: tuple[bool, bool, bool]

    def of_array(self, array: np.ndarray) -> np.ndarray:
        """Return a view of ``(I, J, K, ...)`` with its first three axes reordered."""
        moved = array.transpose(*self.axes, *range(3, array.ndim))
        return moved[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]

    def of_geometry(self, geometry: Geometry) -> Geometry:
        """Return the grid of the reordered array; every voxel keeps its place."""
        onto_old = np.zeros((4, 4))
        onto_old[3, 3] = 1
        for new, (old, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            onto_old[old, new] = -1 if flip else 1
            onto_old[old, 3] = geometry.shape[old] - 1 if flip else 0
        i, j, k = (geometry.shape[axis] for axis in self.axes)
        return Geometry((i, j, k), geometry.affine @ onto_old)


def axes_towards(geometry: Geometry, orientation: str) -> AxisMap:
    """Return the reordering that brings a grid nearest to an orientation code.

    Parameters
    ----------
    geometry : Geometry
        Any grid; an oblique one is reordered, never rotated.
    orientation : str
        Three letters, one of each pair R/L, A/P, S/I, in any order: ``"RAS"``.

    Raises
    ------
    GeometryRefused
        ``orientation-invalid``: not such a code.

    Examples
    --------
    >>> grid = Geometry((4, 5, 6), np.diag([-1.0, -1.0, 3.0, 1.0]))
    >>> axes_towards(grid, "RAS")
    AxisMap(axes=(0, 1, 2), flips=(True, True, False))
    """
    worlds = [next((w for w in range(3) if c in _POSITIVE[w] + _NEGATIVE[w]), -1)
              for c in orientation]  # fmt: skip
    if sorted(worlds) != [0, 1, 2]:
        raise GeometryRefused("orientation-invalid", f"{orientation!r} is no orientation code",
                              do="Use three letters such as RAS or LPS")  # fmt: skip
    now = geometry.orientation
    axes, flips = [], []
    for letter, world in zip(orientation, worlds, strict=True):
        axis = next(a for a in range(3) if now[a] in _POSITIVE[world] + _NEGATIVE[world])
        axes.append(axis)
        flips.append(now[axis] != letter)
    return AxisMap((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))


def cropped(geometry: Geometry, start: tuple[int, int, int], shape: Shape) -> Geometry:
    """Return the grid of a box that starts at voxel ``start`` (may be negative: padding)."""
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.positions(np.asarray(start))
    return Geometry(shape, affine)


def rescaled(geometry: Geometry, spacing: Spacing) -> Geometry:
    """Return the grid of the same extent whose voxels have about this size.

    Parameters
    ----------
    geometry : Geometry
        Grid of shape ``(I, J, K)`` in any orientation, sheared or not.
    spacing : (float, float, float)
        Wanted voxel size along i, j, k in mm. The box is divided evenly: read from the
        result what you got.

    Raises
    ------
    GeometryRefused
        ``spacing-invalid``: a size is not finite and above zero.

    Examples
    --------
    >>> rescaled(Geometry((10, 10, 4), np.diag([1.0, 1.0, 5.0, 1.0])), (2, 2, 2)).shape
    (5, 5, 10)
    """
    wanted = np.asarray(spacing, dtype=float)
    if wanted.shape != (3,) or not (np.isfinite(wanted) & (wanted > 0)).all():
        raise GeometryRefused("spacing-invalid", f"{spacing} is not three sizes in mm")
    old = np.asarray(geometry.shape)
    new = np.maximum(1, np.rint(old * geometry.spacing / wanted)).astype(int)
    step = old / new  # old voxels per new voxel
    onto_old = np.diag([*step, 1.0])
    onto_old[:3, 3] = (step - 1) / 2  # edges meet edges: i_old = (i_new + 1/2) * step - 1/2
    i, j, k = new.tolist()
    return Geometry((i, j, k), geometry.affine @ onto_old)


def index_map(source: Geometry, target: Geometry) -> np.ndarray:
    """Return the (4, 4) matrix that takes an index of ``target`` to an index of ``source``."""
    return np.linalg.solve(source.affine, target.affine)
