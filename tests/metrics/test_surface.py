"""Distances between surfaces: by hand, by brute force, and what must not change them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from medseg.metrics import (
    EMPTY_POLICIES,
    SurfaceDistances,
    assd,
    hausdorff,
    hd95,
    nsd,
    surface_distances,
)
from medseg.metrics.elements import element_areas, neighbour_codes, on_surface
from tests.metrics.solids import ball, block

SCORES = (hausdorff, hd95, assd, nsd)
masks = arrays.arrays(bool, (4, 5, 6)).filter(lambda mask: mask.any())
sizes = st.tuples(*[st.floats(0.2, 6)] * 3)


def all_scores(truth, predicted, spacing):
    return [score(truth, predicted, spacing) for score in SCORES]


def test_blocks_shifted_along_an_axis_are_that_many_mm_apart():
    truth, predicted = (
        block((9, 9, 9), (2, 2, 2), (4, 4, 4)),
        block((9, 9, 9), (2, 2, 4), (4, 4, 4)),
    )
    assert hausdorff(truth, predicted, (1, 1, 2.5)) == 5
    assert hausdorff(truth, predicted, (1, 1, 0.5)) == 1
    far = surface_distances(truth, predicted, (1, 1, 2.5))
    assert set(np.unique(far.from_truth)) == {0, 1, 2, 2.5, 5}
    assert np.count_nonzero(far.from_truth == 5) == 25  # the face that was left


def test_area_of_a_block_is_that_of_its_faces_with_bevelled_edges():
    a, b, c = spacing = (1.0, 2.0, 3.0)
    truth = block((8, 8, 8), (1, 1, 1), (4, 4, 4))
    area = surface_distances(truth, truth, spacing).truth_area.sum()
    faces = 2 * 3 * 3 * (a * b + b * c + a * c)
    edges = 4 * 3 * (a * math.hypot(b, c) + b * math.hypot(a, c) + c * math.hypot(a, b)) / 2
    corners = 8 * math.hypot(b * c, a * c, a * b) / 8
    assert area == pytest.approx(faces + edges + corners)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.8, 0.8, 3)])
def test_balls_of_one_centre_differ_by_their_radii(spacing):
    shape = tuple(int(50 / size) for size in spacing)
    truth, predicted = ball(shape, spacing, 15), ball(shape, spacing, 19)
    voxel = np.linalg.norm(spacing)
    for distance in (hausdorff, hd95, assd):
        assert distance(truth, predicted, spacing) == pytest.approx(4, abs=voxel / 2)
    assert nsd(truth, predicted, spacing, tolerance_mm=4 + voxel) == 1
    assert nsd(truth, predicted, spacing, tolerance_mm=4 - voxel) == 0


def test_a_single_voxel_moved_by_its_size_is_within_that_tolerance_only():
    truth, predicted = (
        block((3, 3, 3), (1, 1, 1), (1, 1, 1)),
        block((3, 3, 3), (1, 1, 2), (1, 1, 1)),
    )
    spacing = (3, 1, 0.1)
    # all corners carry the same area; half of each voxel's lie in the plane between both
    assert nsd(truth, predicted, spacing, tolerance_mm=0.05) == pytest.approx(0.5)
    assert nsd(truth, predicted, spacing, tolerance_mm=0.1) == 1


def test_a_distance_equal_to_the_tolerance_is_within_it_however_it_was_rounded():
    truth, predicted = (
        block((3, 3, 9), (1, 1, 1), (1, 1, 1)),
        block((3, 3, 9), (1, 1, 4), (1, 1, 1)),
    )
    assert 3 * 0.1 > 0.3  # in floating point
    assert nsd(truth, predicted, (1, 1, 0.1), tolerance_mm=0.3) == 1


def test_hd95_weighs_by_area_what_the_dialects_count():
    # a block of 10 and, 55 mm off, a satellite of 3 voxels a side that was missed
    predicted = block((80, 20, 20), (5, 5, 5), (10, 10, 10))
    truth = predicted | block((80, 20, 20), (70, 8, 8), (3, 3, 3))
    spacing = (1, 1, 1)
    # 488 border voxels at 0 mm, then 9, 8 and 9 at 56, 57 and 58: place 0.95 * 513 = 487.35
    assert hd95(truth, predicted, spacing, dialect="monai") == pytest.approx(0.35 * 56)
    # both lists together, 976 zeros of 1002: place 950.95
    assert hd95(truth, predicted, spacing, dialect="medpy") == 0
    # 564.1 + 42.7 mm2: 5 % or 30.3 mm2 begin 12.4 mm2 into the satellite, whose first plane of
    # elements, at 55 mm, has 10.5 mm2 and whose second 10.8
    assert hd95(truth, predicted, spacing) == 56


def brute(truth, predicted, spacing):
    """All distances between elements, one by one."""
    codes = [neighbour_codes(mask) for mask in (truth, predicted)]
    held = [on_surface(code, truth.ndim) for code in codes]
    ours, theirs = (np.argwhere(one) * spacing for one in held)
    apart = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
    areas = [element_areas(spacing)[code[one]] for code, one in zip(codes, held, strict=True)]
    return apart.min(axis=1), areas[0], apart.min(axis=0), areas[1]


@settings(deadline=None, max_examples=40)
@given(masks, masks, sizes)
def test_distances_are_those_of_brute_force(truth, predicted, spacing):
    far = surface_distances(truth, predicted, spacing)
    expected = brute(truth, predicted, spacing)
    for name, found in zip(("from_truth", "truth_area", "from_predicted", "predicted_area"),
                           expected, strict=True):  # fmt: skip
        np.testing.assert_allclose(np.sort(getattr(far, name)), np.sort(found), atol=1e-9)


def test_far_and_near_elements_are_measured_alike():
    rng = np.random.default_rng(2)
    truth = ndimage.gaussian_filter(rng.normal(size=(30, 28, 26)), 2) > 0.08
    predicted = np.zeros_like(truth)
    predicted[3:6, 3:6, 3:6] = True  # most elements of the truth lie far from it: the tree's
    spacing = (0.7, 1.1, 2.0)
    far, expected = surface_distances(truth, predicted, spacing), brute(truth, predicted, spacing)
    assert far.from_truth.max() > 20
    np.testing.assert_allclose(np.sort(far.from_truth), np.sort(expected[0]), atol=1e-9)
    assert far.from_truth @ far.truth_area == pytest.approx(expected[0] @ expected[1])


@settings(deadline=None, max_examples=40)
@given(masks, masks, sizes)
def test_scores_are_symmetric(truth, predicted, spacing):
    assert all_scores(truth, predicted, spacing) == pytest.approx(
        all_scores(predicted, truth, spacing)
    )


@settings(deadline=None, max_examples=40)
@given(masks, sizes)
def test_a_mask_is_no_distance_from_itself(mask, spacing):
    assert all_scores(mask, mask, spacing) == [0, 0, 0, 1]


@settings(deadline=None, max_examples=40)
@given(masks, masks, sizes, st.permutations(range(3)))
def test_distances_do_not_depend_on_the_order_of_axes(truth, predicted, spacing, axes):
    size = tuple(spacing[n] for n in axes)
    turned = surface_distances(truth.transpose(axes), predicted.transpose(axes), size)
    plain = surface_distances(truth, predicted, spacing)
    np.testing.assert_allclose(
        np.sort(turned.from_truth), np.sort(plain.from_truth), rtol=1e-12, atol=1e-12
    )
    assert turned.hausdorff() == pytest.approx(plain.hausdorff())


@settings(deadline=None, max_examples=40)
@given(masks, masks, sizes, st.sets(st.integers(0, 2)))
def test_distances_do_not_depend_on_the_direction_of_axes(truth, predicted, spacing, axes):
    flipped = surface_distances(
        np.flip(truth, tuple(axes)), np.flip(predicted, tuple(axes)), spacing
    )
    plain = surface_distances(truth, predicted, spacing)
    np.testing.assert_allclose(np.sort(flipped.from_truth), np.sort(plain.from_truth))
    np.testing.assert_allclose(np.sort(flipped.from_predicted), np.sort(plain.from_predicted))


def test_the_further_a_mask_is_eroded_the_worse_every_score():
    truth = ball((40, 40, 20), (1, 1, 2), 16)
    rows, predicted = [], truth
    for _ in range(5):
        predicted = ndimage.binary_erosion(predicted)
        rows.append(all_scores(truth, predicted, (1, 1, 2)))
    for worse, column in zip((1, 1, 1, -1), zip(*rows, strict=True), strict=True):
        assert (np.diff(column) * worse >= 0).all()
        assert abs(column[-1] - column[0]) > 0.1


def test_the_image_around_the_masks_and_its_memory_order_change_nothing():
    truth, predicted = ball((12, 12, 9), (1, 1, 2), 4), ball((12, 12, 9), (1, 1, 2), 4.6)
    plain = all_scores(truth, predicted, (1, 1, 2))
    wide = [np.pad(mask, ((0, 9), (5, 5), (7, 0))) for mask in (truth, predicted)]
    assert all_scores(*wide, (1, 1, 2)) == plain
    turned = [np.asfortranarray(mask) for mask in (truth, predicted)]
    assert all_scores(*turned, (1, 1, 2)) == plain


def test_a_mask_at_the_edge_of_the_image_has_a_surface_there():
    full = np.ones((3, 3, 3), bool)
    less = full.copy()
    less[:, :, 0] = False
    assert hausdorff(full, less, (1, 1, 2)) == 2


def test_masks_of_one_slice_and_of_two_axes_are_measured():
    truth, predicted = block((9, 9), (2, 2), (4, 4)), block((9, 9), (2, 3), (4, 4))
    assert hausdorff(truth, predicted, (1, 2)) == 2
    assert nsd(truth, predicted, (1, 2), tolerance_mm=2) == 1
    slices = truth[:, :, None], predicted[:, :, None]
    assert hausdorff(*slices, (1, 2, 5)) == 2
    assert 0 < nsd(*slices, (1, 2, 5)) < 1


@pytest.mark.parametrize(
    ("policy", "both", "one"),
    [("medseg", (math.nan, math.nan), (13, 0)), ("perfect", (0, 1), (13, 0)),
     ("infinite", (math.nan, math.nan), (math.inf, 0)),
     ("ignored", (math.nan, math.nan), (math.nan, math.nan))],
)  # fmt: skip
def test_the_empty_policy_decides_distances_of_empty_masks(policy, both, one):
    empty, full = np.zeros((3, 4, 6), bool), np.ones((3, 4, 6), bool)
    spacing, policy = (1, 1, 2), EMPTY_POLICIES[policy]  # the diagonal is 13 mm
    for pair, expected in (((empty, empty), both), ((full, empty), one), ((empty, full), one)):
        for distance in (hausdorff, hd95, assd):
            found = distance(*pair, spacing, empty=policy)
            np.testing.assert_equal(found, expected[0])
        for dialect in ("monai", "medpy"):
            found = hd95(*pair, spacing, dialect=dialect, empty=policy)
            np.testing.assert_equal(found, expected[0])
        np.testing.assert_equal(nsd(*pair, spacing, empty=policy), expected[1])


def test_thirty_eight_equal_parts_of_forty_are_95_percent_however_they_are_rounded():
    distances, areas = np.append(np.zeros(38), [7.0, 7.0]), np.full(40, 0.11)
    assert np.cumsum(areas)[37] < 0.95 * np.cumsum(areas)[39]  # in floating point
    assert SurfaceDistances(distances, areas, distances, areas).hausdorff(95) == 0


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, 0), (1, 1, math.nan), (1, 1, -2)])
def test_impossible_spacing_is_refused(spacing):
    with pytest.raises(ValueError, match="spacing"):
        hausdorff(np.ones((2, 2, 2), bool), np.ones((2, 2, 2), bool), spacing)


def test_an_unknown_dialect_is_refused():
    with pytest.raises(ValueError, match="other"):
        hd95(np.ones((2, 2), bool), np.ones((2, 2), bool), (1, 1), dialect="other")
