"""Volumes, extents and RECIST diameters of solids that are known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from medseg.metrics import (
    centre_distance_mm,
    diameters,
    extents_mm,
    touches_border,
    volume_ml,
)
from tests.metrics.solids import ball, block, ellipsoid


def turned(degrees):
    """Turn within the plane of axes 0 and 1."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def tilted(seed):
    """Turn in space."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]


def test_volume_is_voxels_times_their_size():
    mask = block((9, 9, 9), (1, 1, 1), (5, 4, 3))
    assert volume_ml(mask, (0.5, 2, 3)) == pytest.approx(60 * 3 / 1000)


def test_extents_run_from_edge_to_edge():
    mask = block((9, 9, 9), (1, 1, 1), (5, 4, 3))
    assert extents_mm(mask, (0.5, 2, 3)) == (2.5, 8, 9)
    assert extents_mm(np.zeros((2, 2), bool), (1, 1)) == (0, 0)


def test_centres_of_mass_are_apart_in_mm():
    truth, predicted = (
        block((9, 9, 9), (0, 0, 0), (2, 2, 2)),
        block((9, 9, 9), (4, 0, 3), (2, 2, 2)),
    )
    assert centre_distance_mm(truth, predicted, (0.75, 1, 1.5)) == pytest.approx(math.hypot(3, 4.5))
    assert math.isnan(centre_distance_mm(truth, truth & False, (1, 1, 1)))


@pytest.mark.parametrize(
    ("start", "touches"), [((1, 1, 1), False), ((0, 1, 1), True), ((1, 3, 1), True)]
)
def test_a_mask_touches_the_border_at_either_end_of_an_axis(start, touches):
    assert touches_border(block((5, 5, 5), start, (2, 2, 2))) is touches


def test_a_single_slice_touches_within_its_plane_only():
    assert not touches_border(block((5, 5, 1), (1, 1, 0), (2, 2, 1)))
    assert touches_border(block((5, 5, 1), (0, 1, 0), (2, 2, 1)))
    assert not touches_border(np.zeros((5, 5, 5), bool))


@pytest.mark.parametrize("turn", [*map(turned, (0, 17, 45, 90, 120)), *map(tilted, range(5))])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.7, 0.7, 3), (0.8, 1.6, 2)])
def test_diameters_of_a_turned_ellipsoid_are_those_of_its_middle_section(turn, spacing):
    radii = np.array([25.0, 12.0, 20.0])
    mask = ellipsoid(tuple(int(64 / size) for size in spacing), spacing, radii, turn)
    section = (turn / radii**2 @ turn.T)[:2, :2]  # x' A x = 1 in the plane of the slice
    short, long = 2 / np.sqrt(np.linalg.eigvalsh(section)[::-1])
    found, voxel = diameters(mask, spacing), max(spacing[:2])
    assert found.long_mm == pytest.approx(long, abs=voxel)
    assert found.short_mm == pytest.approx(short, abs=voxel)


def test_the_ends_of_the_diameters_are_where_they_are_measured():
    spacing = (0.7, 1.1, 3)
    found = diameters(ellipsoid((80, 60, 12), spacing, (20, 9, 10), turned(40)), spacing)
    (a, b), (c, d) = np.array(found.long_ends), np.array(found.short_ends)
    size = np.array(spacing[:2])
    long, short = (b - a) * size, (d - c) * size
    assert np.linalg.norm(long) == pytest.approx(found.long_mm)
    assert np.linalg.norm(short) == pytest.approx(found.short_mm)
    assert long @ short == pytest.approx(0, abs=1e-9)


def test_a_voxel_is_as_long_as_its_longer_side():
    found = diameters(block((5, 5, 5), (2, 2, 2), (1, 1, 1)), (1, 2, 9))
    assert (found.long_mm, found.slice) == (2, 2)
    assert found.short_mm == 1


def test_the_slice_of_the_longest_diameter_is_found_along_any_axis():
    mask = block((9, 9, 9), (1, 2, 3), (1, 1, 1)) | block((9, 9, 9), (1, 5, 3), (7, 1, 1))
    assert (diameters(mask, (1, 1, 1)).slice, diameters(mask, (1, 1, 1), axis=1).slice) == (3, 5)
    assert diameters(mask, (1, 1, 1), axis=1).long_mm == 7
    assert diameters(mask[:, :, 3], (1, 1)).slice == 0
    assert diameters(mask & False, (1, 1, 1)) is None


def test_a_ball_is_as_wide_as_long():
    found = diameters(ball((50, 50, 50), (1, 1, 1), 20), (1, 1, 1))
    assert found.long_mm == pytest.approx(40, abs=1)
    assert found.short_mm == pytest.approx(40, abs=1)


masks = arrays.arrays(bool, (6, 7, 3)).filter(lambda mask: mask.any())


@settings(deadline=None, max_examples=40)
@given(masks, st.sets(st.integers(0, 2)), st.booleans())
def test_diameters_do_not_depend_on_flips_nor_on_the_order_of_axes(mask, flips, swap):
    spacing = (0.9, 1.3, 4)
    plain = diameters(mask, spacing)
    moved = np.flip(mask, tuple(flips))
    if swap:
        moved, spacing = moved.transpose(1, 0, 2), (1.3, 0.9, 4)
    found = diameters(moved, spacing)
    assert found.long_mm == pytest.approx(plain.long_mm)
    assert found.short_mm == pytest.approx(plain.short_mm)


@settings(deadline=None, max_examples=40)
@given(masks)
def test_the_long_axis_is_the_largest_distance_of_outline_points(mask):
    spacing = np.array([0.9, 1.3])
    longest = 0.0
    for k in range(mask.shape[2]):
        index = np.argwhere(mask[:, :, k])
        steps = np.array([(0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)])
        points = (index[:, None] + steps).reshape(-1, 2) * spacing
        if len(points):
            apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
            longest = max(longest, apart.max())
    assert diameters(mask, (*spacing, 4)).long_mm == pytest.approx(longest)
