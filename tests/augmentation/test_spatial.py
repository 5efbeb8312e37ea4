"""Where patches come from: in millimetres, in one piece, without folds or empty corners."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medseg.augmentation import sampling
from medseg.augmentation.elastic import FOLD_FREE, Elastic
from medseg.augmentation.frame import Frame
from medseg.augmentation.sampling import cut
from medseg.augmentation.spatial import Spatial
from tests.augmentation.factory import MIDDLE, make_case

SURE = Spatial(rotate_probability=1, scale_probability=1)


def drawn(seed, frame, spatial=SURE, elastic=None):
    return spatial.draw(np.random.default_rng(seed), frame, elastic)


def test_image_and_labels_move_together():
    frame = Frame((1, 1, 1), (24, 24, 24), (0, 1, 2))
    for seed in range(10):
        placement = drawn(seed, frame, elastic=Elastic(probability=seed % 2))
        image, classes = cut(*make_case(), MIDDLE, placement, frame.patch)
        inside = image[0] == 70  # interpolated voxels at borders lie between the values
        assert inside.sum() > 400
        assert (classes[inside] == 7).all()


def reference(array, centre, placement, patch, order):
    """Sample by SciPy from the whole case, voxel for voxel as ``Placement`` says."""
    half = (np.asarray(patch) - 1) / 2
    offset = np.indices(patch) - half[:, None, None, None]
    if placement.bend is not None:
        offset = offset + placement.bend.field(patch)
    middle = np.asarray(centre) - np.asarray(patch) // 2 + half
    places = np.tensordot(placement.matrix, offset, 1) + middle[:, None, None, None]
    out = ndimage.map_coordinates(array, places, order=order, mode="grid-constant",
                                  prefilter=False)  # fmt: skip
    return np.flip(out, [axis for axis in range(3) if placement.flips[axis]])


shapes = st.tuples(st.integers(1, 20), st.integers(2, 24), st.integers(2, 24))


@settings(deadline=None, max_examples=60)
@given(shapes, st.integers(0, 2**32), st.tuples(*[st.integers(0, 29)] * 3), st.booleans())
def test_values_are_those_of_linear_interpolation_in_the_whole_case(patch, seed, centre, bent):
    smooth = ndimage.gaussian_filter(make_case()[0][..., 0], 1.5)
    frame = Frame((1, 1.5, 2), patch, (0, 1, 2))
    placement = drawn(seed, frame, elastic=Elastic(probability=1) if bent else None)
    image, _ = cut(smooth[..., None], make_case()[1], np.array(centre), placement, patch)
    expected = reference(smooth, centre, placement, patch, 1)
    np.testing.assert_allclose(image[0], expected, atol=0.02)  # of 70


def test_labels_are_those_of_the_nearest_voxel():
    frame = Frame((1, 1, 1), (24, 24, 24), (0, 1, 2))
    for seed in range(6):
        placement = drawn(seed, frame)
        _, classes = cut(*make_case(), MIDDLE, placement, frame.patch)
        same = classes == reference(make_case()[1], MIDDLE, placement, frame.patch, 0)
        assert same.mean() > 0.9999  # a place between two voxels may round either way


def test_a_patch_too_large_for_one_picture_is_sampled_in_parts(monkeypatch):
    frame = Frame((1, 1, 1), (24, 24, 24))
    whole = cut(*make_case(), MIDDLE, drawn(1, frame), frame.patch)
    monkeypatch.setattr(sampling, "LARGEST_SIDE", 800)
    parts = cut(*make_case(), MIDDLE, drawn(1, frame), frame.patch)
    np.testing.assert_allclose(parts[0], whole[0], atol=0.02)
    assert (parts[1] == whole[1]).mean() > 0.9999


def test_classes_of_unusual_types_are_sampled_too():
    image, classes = make_case()
    frame = Frame((1, 1, 1), (24, 24, 24))
    expected = cut(image, classes, MIDDLE, drawn(1, frame), frame.patch)[1]
    found = cut(image, classes.astype(np.int64), MIDDLE, drawn(1, frame), frame.patch)[1]
    assert (found == expected).mean() > 0.9999


def test_rotation_is_in_millimetres():
    # A round blob stays round in mm when turned on a grid of 1 x 1 x 3 mm; turned in voxels,
    # which shears it, it differs by 0.5.
    axes = np.meshgrid(np.arange(61), np.arange(61), np.arange(21), indexing="ij")
    frame = Frame((1.0, 1.0, 3.0), (41, 41, 15))
    distance = np.sqrt(sum(((a - c) * s) ** 2 for a, c, s in
                           zip(axes, (30, 30, 10), frame.spacing, strict=True)))  # fmt: skip
    blob = np.exp(-np.square(distance / 10) / 2).astype(np.float32)
    placement = drawn(3, frame, Spatial(rotate_probability=1, scale_probability=0))
    turned, _ = cut(blob[..., None], blob.astype(np.uint8), np.array([30, 30, 10]), placement,
                    frame.patch)  # fmt: skip
    assert np.abs(turned[0] - blob[10:51, 10:51, 3:18]).max() < 0.03
    assert np.abs(placement.matrix - np.eye(3)).max() > 0.1  # it did turn


@pytest.mark.parametrize(
    ("patch", "flat", "degrees"),
    [
        # nnU-Net 2.8.1, configure_rotation_dummyDA_mirroring_and_inital_patch_size
        ((64, 64, 64), False, 30), ((20, 60, 60), False, 30), ((19, 60, 60), True, 180),
        ((64, 16, 128), False, 30), ((1, 60, 60), True, 180), ((1, 40, 61), True, 15),
    ],
)  # fmt: skip
def test_flat_patches_turn_in_their_plane_by_the_angles_of_nnunet(patch, flat, degrees):
    frame = Frame((3, 1, 1), patch)
    assert (frame.flat, frame.degrees) == (flat, degrees)
    angles = []
    for seed in range(200):
        matrix = drawn(seed, frame, Spatial(rotate_probability=1, scale_probability=0)).matrix
        assert np.array_equal(matrix[0], [1, 0, 0]) == flat
        angles.append(np.degrees(np.arctan2(matrix[2, 1], matrix[1, 1])))
    if flat:
        assert 0.95 * degrees < np.abs(angles).max() <= degrees


def test_slices_of_a_flat_patch_are_not_mixed():
    image, classes = make_case()
    image[:] = np.arange(40)[:, None, None, None]  # each slice has its number
    frame = Frame((3, 1, 1), (6, 24, 24), (1, 2))
    for seed in range(5):
        placement = drawn(seed, frame, elastic=Elastic(probability=1))
        channels, _ = cut(image, classes, np.array([20, 15, 18]), placement, frame.patch)
        inside = channels[0][:, 9:15, 9:15]
        np.testing.assert_allclose(inside, np.arange(17, 23)[:, None, None] + 0 * inside, atol=1e-4)


def test_scaling_samples_steps_of_the_range_of_nnunet():
    frame = Frame((1, 1, 1), (24, 24, 24))
    steps = [drawn(seed, frame, Spatial(0, 1)).matrix[0, 0] for seed in range(400)]
    assert 0.7 <= min(steps) < 0.72
    assert 1.38 < max(steps) <= 1.4


def test_both_are_drawn_for_a_fifth_of_the_samples():
    frame = Frame((1, 1, 1), (24, 24, 24))
    matrices = [drawn(seed, frame, Spatial()).matrix for seed in range(3000)]
    turned = np.mean([np.abs(m - np.diag(np.diag(m))).max() > 0 for m in matrices])
    still = np.mean([np.array_equal(m, np.eye(3)) for m in matrices])
    assert turned == pytest.approx(0.2, abs=0.025)
    assert still == pytest.approx(0.64, abs=0.03)


def test_mirroring_keeps_to_the_axes_it_is_told():
    frame = Frame((1, 1, 1), (8, 8, 8), (1,))
    flips = {drawn(seed, frame, Spatial(0, 0)).flips for seed in range(30)}
    assert flips == {(False, False, False), (False, True, False)}


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32),
    st.tuples(*[st.floats(0.5, 4)] * 3),
    st.tuples(*[st.integers(12, 30)] * 3),
)
def test_the_strongest_elastic_field_never_folds_tissue(seed, spacing, patch):
    bend = Elastic(1, (2, 5), (FOLD_FREE, FOLD_FREE)).draw(
        np.random.default_rng(seed), Frame(spacing, patch)
    )
    field = bend.field(patch).astype(float)
    jacobian = np.stack([np.stack(np.gradient(one), axis=-1) for one in field], axis=-2)
    assert (np.linalg.det(np.eye(3) + jacobian) > 0).all()
    assert (np.abs(field).max(axis=(1, 2, 3)) <= bend.reach + 1e-5).all()


def test_an_elastic_field_is_smooth_and_of_the_size_that_was_asked_for():
    frame = Frame((1, 1, 2), (48, 48, 24))
    distance = 48 / 4  # mm between control points
    bend = Elastic(1, (4, 4), (0.3, 0.3)).draw(np.random.default_rng(0), frame)
    field = bend.field(frame.patch) * np.array(frame.spacing)[:, None, None, None]  # mm
    largest = np.abs(field).max()
    assert 0.3 * 0.3 * distance < largest <= 0.3 * distance
    assert np.abs(np.diff(field, axis=1)).max() < 0.3  # mm from one voxel to the next
