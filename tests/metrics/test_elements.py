"""Surface elements against areas worked out by hand."""

import math
from itertools import permutations, product

import numpy as np
import pytest

from medseg.metrics.elements import element_areas, neighbour_codes, on_surface

CUBE = list(product((0, 1), repeat=3))


def code_of(*corners):
    return sum(1 << CUBE.index(corner) for corner in corners)


def test_codes_hold_one_bit_for_each_of_the_eight_voxels_around_a_corner():
    rng = np.random.default_rng(0)
    mask = rng.random((3, 4, 5)) > 0.5
    codes, padded = neighbour_codes(mask), np.pad(mask, 1)
    for i, j, k in np.ndindex(codes.shape):
        bits = [padded[i + a, j + b, k + c] << n for n, (a, b, c) in enumerate(CUBE)]
        assert codes[i, j, k] == sum(bits)
    assert neighbour_codes(mask[0]).shape == (5, 6)


def test_surface_elements_are_the_corners_between_inside_and_outside():
    mask = np.ones((2, 2, 2), bool)  # 27 corners, only the middle one has 8 voxels inside
    assert np.count_nonzero(on_surface(neighbour_codes(mask), 3)) == 26


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.3, 5.0)])
def test_areas_of_the_simple_codes_are_those_of_geometry(spacing):
    a, b, c = spacing
    areas = element_areas(spacing)
    corner = math.hypot(b * c, a * c, a * b) / 8  # half the cross product of two half diagonals
    assert areas[0] == areas[255] == 0
    assert areas[code_of((0, 0, 0))] == pytest.approx(corner)
    assert areas[code_of((0, 0, 0), (1, 1, 1))] == pytest.approx(2 * corner)
    assert areas[code_of((0, 0, 0), (0, 1, 1))] == pytest.approx(2 * corner)  # ambiguous face
    edge = code_of((0, 0, 0), (1, 0, 0))  # a slope over the length of the voxel
    assert areas[edge] == pytest.approx(a * math.hypot(b, c) / 2)
    plane = code_of((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0))
    assert areas[plane] == pytest.approx(a * b)
    four = code_of((0, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1))
    assert areas[four] == pytest.approx(4 * corner)
    around = code_of((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))  # a plane hexagon
    assert areas[around] == pytest.approx(6 * corner)


def test_a_contour_in_no_plane_is_cut_so_that_its_area_is_largest_in_the_unit_cube():
    three = code_of((0, 0, 0), (1, 0, 0), (0, 1, 0))  # five points
    assert element_areas((1.0, 1.0, 1.0))[three] == pytest.approx(1 / 2 + 3 * math.sqrt(3) / 8)


def test_area_is_one_for_a_mask_and_its_complement_and_any_turn():
    areas = element_areas((1.0, 1.0, 1.0))
    np.testing.assert_allclose(areas, areas[::-1])
    stretched = element_areas((1.0, 2.0, 3.0))
    for axes in permutations(range(3)):
        size = tuple((1.0, 2.0, 3.0)[n] for n in axes)
        turned = element_areas(size)
        for corner in CUBE:  # an edge along each axis, seen from the turned cube
            moved = tuple(corner[n] for n in axes)
            assert turned[code_of(moved)] == pytest.approx(stretched[code_of(corner)])
            for n in range(3):
                other = tuple(1 - v if m == n else v for m, v in enumerate(corner))
                far = tuple(other[m] for m in axes)
                expected = stretched[code_of(corner, other)]
                assert turned[code_of(moved, far)] == pytest.approx(expected)


def test_lengths_in_a_plane_are_sides_and_diagonals():
    lengths = element_areas((3.0, 4.0))  # bits: (0, 0), (0, 1), (1, 0), (1, 1)
    assert lengths[[0b0001, 0b0111]] == pytest.approx(2.5)  # half the diagonal
    assert lengths[0b0011] == pytest.approx(4)  # row 0 inside: the outline runs along j
    assert lengths[0b0101] == pytest.approx(3)
    assert lengths[[0b1001, 0b0110]] == pytest.approx(5)
    assert lengths[[0b0000, 0b1111]] == pytest.approx(0)
