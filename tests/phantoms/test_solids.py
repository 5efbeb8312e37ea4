import math

import numpy as np
import pytest

from medseg.geometry import Geometry
from medseg.phantoms.solids import LONG_MM, Lump, cut, ellipsoid, rotation, sphere


def sheared_grid(*spacing: float) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = rotation(0.2, -0.1, 0.3) * spacing
    affine[:3, 2] += 0.3 * affine[:3, 1]
    shape = tuple(math.ceil(110 / size) for size in spacing)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Geometry(shape, affine)


def lumpy():
    lumps = (Lump(3, np.array([0.6, 0, 0.8]), 0.12), Lump(2, np.array([0, 1.0, 0]), 0.1))
    return ellipsoid((3, -2, 1), (14, 18, 22), rotation(0.1, 0.4, 0), lumps)


def test_volume_of_an_ellipsoid_is_that_of_the_formula():
    solid = ellipsoid((5, 5, 5), (10, 20, 30), rotation(0.3, 0.2, 0.1))
    assert solid.volume_ml() == pytest.approx(4 / 3 * math.pi * 10 * 20 * 30 / 1000, rel=1e-6)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.6, 1.6, 4.0), (2.5, 1.2, 4.5)])
def test_covered_parts_add_up_to_the_volume(spacing):
    grid = sheared_grid(*spacing)
    ml = lumpy().coverage(grid).sum(dtype=float) * grid.voxel_mm3 / 1000
    assert ml == pytest.approx(lumpy().volume_ml(), rel=0.01)


@pytest.mark.parametrize(("centre", "part"), [(-10.0, 0.5), (-9.0, 0.75), (-8.0, 1), (-12, 0)])
def test_a_flat_face_fills_voxels_exactly(centre, part):
    # Fails if the edge is not as wide as the voxel is along the normal, here 4 mm.
    slab = ellipsoid((0, 0, 0), (LONG_MM, LONG_MM, 10), square=True)
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    affine[2, 3] = centre
    assert slab.coverage(Geometry((1, 1, 1), affine)).item() == pytest.approx(part, abs=1e-5)


def test_centres_inside_are_covered_by_more_than_half():
    grid = sheared_grid(2.0, 2.0, 5.0)
    centres = grid.positions(np.stack(np.indices(grid.shape), axis=-1)).reshape(-1, 3)
    inside = lumpy().contains(centres).reshape(grid.shape)
    assert np.count_nonzero(inside != (lumpy().coverage(grid) > 0.5)) <= 1  # float32 and float64


def test_nothing_lies_outside_the_box():
    grid = sheared_grid(2.0, 1.5, 3.0)
    whole = lumpy().coverage(grid)
    here, part = cut(grid, lumpy())
    assert whole[here].size < whole.size / 4
    np.testing.assert_allclose(lumpy().coverage(part), whole[here], atol=1e-4)
    whole[here] = 0
    assert not whole.any()


def test_a_solid_beyond_the_grid_is_not_drawn():
    assert cut(sheared_grid(2.0, 2.0, 2.0), ellipsoid((500, 0, 0), (9, 9, 9))) is None


@pytest.mark.parametrize("square", [False, True])
def test_the_surface_divides_inside_from_outside(square):
    solid = ellipsoid((1, 2, 3), (14, 18, 22), rotation(0.1, 0.4, 0), square=square)
    edge = solid.surface(sphere(50)) - solid.centre
    assert solid.contains(solid.centre + 0.999 * edge).all()
    assert not solid.contains(solid.centre + 1.001 * edge).any()


def test_rotation_turns_about_its_axis_by_twice_the_arc_tangent():
    axis = np.array([0.3, -0.2, 0.5])
    turn = rotation(*axis)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(turn @ axis, axis, atol=1e-15)
    angle = 2 * math.atan(np.linalg.norm(axis))
    assert np.trace(turn) == pytest.approx(1 + 2 * math.cos(angle))
    aside = np.cross(axis, (1, 0, 0))
    assert np.cross(aside, turn @ aside) @ axis > 0  # right-handed
