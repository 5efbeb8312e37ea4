"""Filling polygons, against a point-in-polygon test of its own for each pixel."""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path

from medseg.reading.polygons import NUDGE, Patch, combined, filled

SHAPE = (11, 9)


def mask_of(patch: Patch, shape=SHAPE) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[patch.box] = patch.mask
    return mask


def fill(*points, shape=SHAPE) -> np.ndarray:
    return mask_of(filled(np.array(points, dtype=float), shape), shape)


def inside(points, x: int, y: int) -> bool:
    """Count edges left of a centre that is moved as the rule says, in exact arithmetic."""
    at_x, at_y = Fraction(x) + Fraction(NUDGE[0]), Fraction(y) + Fraction(NUDGE[1])
    crossed = 0
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if (y0 <= at_y) != (y1 <= at_y):
            crossed += x0 + (at_y - y0) * (x1 - x0) / (y1 - y0) <= at_x
    return crossed % 2 == 1


places = st.integers(-3 * 8, 14 * 8).map(lambda n: Fraction(n, 8))  # on centres, edges, between
polygons = st.lists(st.tuples(places, places), min_size=3, max_size=12)


@settings(max_examples=60, deadline=None)
@given(polygons)
def test_each_pixel_is_inside_by_an_exact_test_of_its_centre(points):
    expected = [[inside(points, x, y) for y in range(SHAPE[1])] for x in range(SHAPE[0])]
    np.testing.assert_array_equal(fill(*points), expected)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 40))
def test_simple_polygons_agree_with_matplotlib(seed, corners):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    around = rng.uniform(1, 7, (corners, 1)) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.add(around, (5.1, 4.3))  # a star about a point: no edge crosses another
    centres = np.stack(np.indices(SHAPE), axis=-1).reshape(-1, 2)
    path = Path(np.vstack([points, points[:1]]), closed=True)
    np.testing.assert_array_equal(fill(*points).ravel(), path.contains_points(centres))


@settings(deadline=None)
@given(polygons, st.integers(0, 11), st.booleans())
def test_neither_the_start_nor_the_sense_of_a_polygon_matters(points, start, backward):
    turned = [*points[start % len(points) :], *points[: start % len(points)]]
    np.testing.assert_array_equal(fill(*points), fill(*turned[:: -1 if backward else 1]))


@settings(deadline=None)
@given(places, places, places)
def test_polygons_that_share_an_edge_share_no_pixel_and_leave_none_out(top, bottom, side):
    corners = ((-5, -5), (20, -5), (20, 20), (-5, 20))
    left = fill(corners[0], (top, -5), (side, 4), (bottom, 20), corners[3])
    right = fill((top, -5), corners[1], corners[2], (bottom, 20), (side, 4))
    assert (left ^ right).all()


def test_a_square_on_centres_takes_its_edges_of_smaller_index():
    mask = fill((2, 2), (5, 2), (5, 4), (2, 4))
    assert np.argwhere(mask).tolist() == [[2, 2], [2, 3], [3, 2], [3, 3], [4, 2], [4, 3]]


@pytest.mark.parametrize("noise", [0, 1e-12, -1e-12, 1e-9, -1e-9])
def test_rounding_of_coordinates_does_not_decide_on_centres(noise):
    np.testing.assert_array_equal(
        fill((1 + noise, 1 - noise), (7 - noise, 1 + noise), (4 + noise, 7 - noise)),
        fill((1, 1), (7, 1), (4, 7)),
    )


def test_a_hole_by_keyhole_is_exact():
    outer = [(0.5, 0.5), (8.5, 0.5), (8.5, 7.5), (0.5, 7.5)]
    inner = [(2.3, 2.7), (2.3, 5.1), (6.7, 5.3), (6.9, 2.4)]
    slanted = [*outer, outer[0], *inner, inner[0]]  # the channel runs there and back
    np.testing.assert_array_equal(fill(*slanted), fill(*outer) ^ fill(*inner))
    assert fill(*inner).any()


def test_polygons_outside_and_between_centres_have_no_pixel():
    for points in (
        [(20, 20), (30, 20), (25, 30)], [(-9, -9), (-5, -9), (-5, -5)],
        [(2.2, 2.2), (2.8, 2.2), (2.5, 2.8)], [(1.5, 0), (1.6, 0), (1.55, 8)],
        [(3, 3), (3, 3), (3, 3)],
    ):  # fmt: skip
        assert not fill(*points).any()


def test_polygons_without_end_take_no_memory_without_end():
    # 10,000 edges across 512 rows: 200 MB and more if all crossings were held at once
    points = np.random.default_rng(0).uniform(0, 512, (10_000, 2))
    points[::2, 1], points[1::2, 1] = -1e5, 1e5
    tracemalloc.start()
    filled(points, (512, 512))
    assert tracemalloc.get_traced_memory()[1] < 120e6
    tracemalloc.stop()


def square(low, high, shape=(30, 30)):
    return filled(np.array([(low, low), (high, low), (high, high), (low, high)]) - 0.5, shape)


def test_loops_in_loops_are_holes_and_islands():
    nested = [square(*span) for span in ((6, 10), (0, 20), (2, 14), (22, 25))]
    region, joined = combined(nested, by_xor=False)
    assert region.mask.sum() == 20**2 - 12**2 + 4**2 + 3**2
    assert not joined


def test_loops_that_overlap_partly_are_joined_and_keep_their_holes():
    loops = [square(0, 10), square(8, 20), square(2, 5)]  # a chain, and a hole in its first link
    region, joined = combined(loops, by_xor=False)
    assert region.mask.sum() == 10**2 + 12**2 - 2**2 - 3**2
    assert joined
    region, joined = combined(loops, by_xor=True)
    assert region.mask.sum() == 10**2 + 12**2 - 2 * 2**2 - 3**2
    assert not joined
