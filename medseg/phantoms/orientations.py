"""A small label phantom for grids of every orientation, for the self-test of geometry."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

from medseg.geometry import AxisMap, Geometry
from medseg.labels import Label, LabelSet
from medseg.phantoms.solids import ellipsoid, rotation
from medseg.volume import LabelMap

LABELS = LabelSet(
    (
        Label(1, "Right block", laterality="right", colour=(217, 95, 2)),
        Label(2, "Left ball", laterality="left", colour=(27, 158, 119)),
        Label(3, "Front rod", colour=(117, 112, 179)),
        Label(4, "Upper disc", colour=(231, 41, 138)),
    )
)
# RAS+ mm; no rotation and no mirroring brings the arrangement onto itself
CENTRES_MM = {
    1: (24.0, -6.0, -9.0),
    2: (-22.0, -11.0, 4.0),
    3: (3.0, 27.0, -4.0),
    4: (-5.0, 2.0, 29.0),
}
RADII_MM = {
    1: (13.0, 15.0, 17.0),
    2: (11.0, 11.0, 11.0),
    3: (18.0, 9.0, 12.0),
    4: (14.0, 12.0, 9.0),
}
REACH_MM = 46.0  # nothing lies further from the origin along an axis
OBLIQUE_GRIDS = 10


def label_phantom(geometry: Geometry) -> LabelMap:
    """Return four structures, each about the place that ``CENTRES_MM`` says, on any grid.

    A voxel has a label where its centre lies inside. What the grid does not reach is absent.

    Examples
    --------
    >>> phantom = label_phantom(axis_orientations()[0])
    >>> bool(np.abs(centroids_mm(phantom)[1] - CENTRES_MM[1]).max() < 0.5)
    True
    """
    array = np.zeros(geometry.shape, np.uint8)
    for value, centre in CENTRES_MM.items():
        solid = ellipsoid(centre, RADII_MM[value], square=value == 1)
        array[solid.coverage(geometry) > 0.5] = value
    return LabelMap(array, geometry, LABELS)


def centroids_mm(labels: LabelMap) -> dict[int, np.ndarray]:
    """Return the mean RAS+ mm of the voxels of each value that occurs, background left out."""
    return {
        int(value): labels.geometry.positions(np.argwhere(labels.array == value).mean(axis=0))
        for value in np.unique(labels.array)
        if value
    }


def axis_orientations() -> list[Geometry]:
    """Return one grid stored in its 48 orders: six of the axes, eight of their directions.

    All hold the same voxels; the first is RAS. No two axes have the same length or spacing,
    so that a wrong order cannot pass for the right one.
    """
    spacing = np.array([2.0, 2.5, 3.5])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-46.0, -45.0, -47.0)
    grid = Geometry((47, 38, 26), affine)
    return [
        AxisMap((i, j, k), (a, b, c)).of_geometry(grid)
        for i, j, k in permutations(range(3))
        for a, b, c in product((False, True), repeat=3)
    ]


def oblique_grids(seed: int) -> list[Geometry]:
    """Return ten grids turned at random, of either handedness, every second one sheared.

    The shear is that of a gantry tilted by up to 20 degrees. All hold the whole phantom.
    """
    rng = np.random.default_rng(seed)
    return [_oblique(rng, tilted=bool(n % 2)) for n in range(OBLIQUE_GRIDS)]


def _oblique(rng: np.random.Generator, *, tilted: bool) -> Geometry:
    """Return one grid about the origin that holds the whole phantom."""
    spacing = rng.uniform(1.5, 4.0, 3)
    turn = rotation(*rng.uniform(-1, 1, 3).tolist())
    turn[:, 0] *= rng.choice([-1, 1])
    if tilted:
        turn[:, 2] += rng.uniform(0.17, 0.36) * turn[:, 1]  # tangents of 10 and 20 degrees
    # Half the width along each axis that holds a ball of the phantom's farthest corner.
    half = np.sqrt(3) * REACH_MM * np.linalg.norm(np.linalg.inv(turn), axis=1)
    i, j, k = (np.ceil(2 * half / spacing).astype(int) + 1).tolist()
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = -affine[:3, :3] @ ((np.array([i, j, k]) - 1) / 2)
    return Geometry((i, j, k), affine)
