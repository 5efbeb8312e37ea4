"""Grids and their algebra."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.errors import GeometryRefused
from medseg.geometry import AxisMap, Geometry, axes_towards, cropped, index_map, rescaled
from tests.grids import geometries, small_shapes, spacings

CODES = [
    "".join(code)
    for order in permutations(("RL", "AP", "SI"))
    for code in product(*order)
]  # fmt: skip


@given(geometries(), spacings)
def test_rescaled_keeps_the_box(geometry, spacing):
    # Fails if centres are kept instead of edges: off by half a voxel.
    moved = rescaled(geometry, spacing)
    np.testing.assert_allclose(moved.corners, geometry.corners, atol=1e-6)


@pytest.mark.parametrize("bad", [(0, 1, 1), (1, -1, 1), (1, 1, float("nan")), (1, 1)])
def test_rescaled_refuses_impossible_spacing(bad):
    with pytest.raises(GeometryRefused, match="is not three sizes in mm") as refusal:
        rescaled(Geometry((4, 5, 6), np.eye(4)), bad)
    assert refusal.value.code == "spacing-invalid"


@pytest.mark.parametrize("code", CODES)
def test_axes_towards_reaches_every_orientation(code):
    geometry = Geometry((4, 5, 6), np.diag([-1.0, 2.0, 3.0, 1.0]))
    assert axes_towards(geometry, code).of_geometry(geometry).orientation == code


@given(geometries(), st.sampled_from(CODES))
def test_reordering_moves_no_voxel(geometry, code):
    axes = axes_towards(geometry, code)
    index = np.arange(np.prod(geometry.shape)).reshape(geometry.shape)
    moved, grid = axes.of_array(index), axes.of_geometry(geometry)
    place = geometry.positions(np.argwhere(index >= 0))  # by value of index
    found = grid.positions(np.argwhere(moved >= 0))
    np.testing.assert_allclose(found, place[moved.ravel()], atol=1e-9)


@pytest.mark.parametrize("code", ["RAX", "RRS", "", "RASL", "ras"])
def test_axes_towards_refuses_what_is_no_orientation(code):
    with pytest.raises(GeometryRefused, match="is no orientation code"):
        axes_towards(Geometry((1, 1, 1), np.eye(4)), code)


def test_orientation_of_an_oblique_grid_uses_each_direction_once():
    # All three columns point nearest to x; a greedy choice would name x twice.
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr([[1.0, 0.9, 0.9], [0.1, 1.0, 0.2], [0.1, 0.2, -1.0]])[0]
    assert sorted(Geometry((2, 2, 2), affine).orientation.translate({76: 82, 80: 65, 73: 83})) == [
        "A", "R", "S",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "affine",
    [np.zeros((4, 4)), np.eye(3), np.diag([1, 1, 0, 1.0]), np.full((4, 4), np.nan)],
)
def test_a_grid_without_an_inverse_is_refused(affine):
    with pytest.raises(GeometryRefused, match="affine"):
        Geometry((2, 2, 2), affine)


@pytest.mark.parametrize("shape", [(0, 1, 1), (2, 2), (1, -1, 1)])
def test_a_grid_without_voxels_is_refused(shape):
    with pytest.raises(GeometryRefused, match="is not a shape of three axes"):
        Geometry(shape, np.eye(4))


def test_shear_is_told_and_volume_is_exact():
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    affine[1, 2] = 1.3  # a gantry tilted by 18 degrees
    tilted = Geometry((3, 3, 3), affine)
    assert tilted.sheared
    assert not Geometry((3, 3, 3), np.diag([1.0, 1.0, 4.0, 1.0])).sheared
    assert tilted.voxel_mm3 == pytest.approx(4.0)  # not 1 x 1 x |column|


@given(geometries())
def test_cropping_keeps_every_voxel_in_its_place(geometry):
    box = cropped(geometry, (-2, 0, 1), (3, 4, 5))
    np.testing.assert_allclose(box.positions([2, 3, 4]), geometry.positions([0, 3, 5]), atol=1e-9)


@given(geometries(), geometries(small_shapes))
def test_index_map_leads_to_the_same_place(source, target):
    index = np.array([1.0, 2.0, 3.0, 1.0])
    there = (index_map(source, target) @ index)[:3]
    np.testing.assert_allclose(source.positions(there), target.positions(index[:3]), atol=1e-6)


def test_axis_map_of_an_array_is_a_view():
    array = np.zeros((2, 3, 4))
    AxisMap((2, 0, 1), (True, False, True)).of_array(array)[0, 0, 0] = 1
    assert array[0, 2, 3] == 1
