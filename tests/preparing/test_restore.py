"""There and back: the way between a scan's grid and the network's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.transform import resize

from medseg.geometry import Geometry, axes_towards, cropped, index_map, rescaled
from medseg.preparing import moved, restore, restore_probabilities, restore_regions
from medseg.preparing.resample import resampled
from medseg.volume import LabelMap
from tests.grids import geometries, spacings
from tests.test_geometry import CODES


def random_logits(shape, classes=4, seed=0):
    drawn = np.random.default_rng(seed).random((classes, *shape), np.float32)  # quick for millions
    drawn -= 0.5
    drawn *= 6
    return drawn


@given(geometries(), st.sampled_from(CODES), st.integers(0, 2**32))
def test_labels_come_back_bit_for_bit_where_nothing_is_interpolated(geometry, code, seed):
    labels = np.random.default_rng(seed).integers(0, 300, geometry.shape, np.uint16)
    there = moved(LabelMap(labels, geometry), axes_towards(geometry, code).of_geometry(geometry))
    assert np.array_equal(moved(there, geometry).array, labels)


@given(geometries(), st.sampled_from(CODES))
def test_classes_are_copied_where_grids_differ_by_axes_only(geometry, code):
    axes = axes_towards(geometry, code)
    logits = random_logits(geometry.shape)
    classes = restore(logits, geometry, axes.of_geometry(geometry))
    assert np.array_equal(classes, axes.of_array(logits.argmax(axis=0)))


@given(geometries(), st.sampled_from(CODES), spacings, st.integers(0, 2**32))
def test_restoring_equals_general_interpolation(geometry, code, spacing, seed):
    network = rescaled(axes_towards(geometry, code).of_geometry(geometry), spacing)
    logits = random_logits(network.shape, seed=seed)
    found = restore_probabilities(logits, network, geometry)
    place = index_map(network, geometry) @ np.concatenate(
        [np.indices(geometry.shape).reshape(3, -1), np.ones((1, np.prod(geometry.shape)))]
    )
    expected = np.stack([
        ndimage.map_coordinates(one, place[:3], order=1, mode="nearest") for one in logits
    ]).reshape(4, *geometry.shape)  # fmt: skip
    power = np.exp(expected - expected.max(axis=0))
    np.testing.assert_allclose(np.moveaxis(found, -1, 0), power / power.sum(axis=0), atol=2e-4)
    classes = restore(logits, network, geometry)
    sure = np.sort(expected, axis=0)[-1] - np.sort(expected, axis=0)[-2] > 1e-3
    assert np.array_equal(classes[sure], expected.argmax(axis=0)[sure])


def test_a_crop_is_background_outside_and_exact_inside():
    scan = Geometry((9, 8, 7), np.diag([1.0, -2.0, 3.0, 1.0]))
    box = cropped(scan, (2, 3, 1), (4, 4, 5))
    logits = random_logits(box.shape)
    classes = restore(logits, box, scan)
    expected = np.zeros(scan.shape, np.uint8)
    expected[2:6, 3:7, 1:6] = logits.argmax(axis=0)
    assert np.array_equal(classes, expected)


def test_a_scaled_crop_lies_where_its_box_lies():
    scan = Geometry((40, 40, 40), np.diag([1.0, 1.0, 1.0, 1.0]))
    box = rescaled(cropped(scan, (10, 12, 8), (16, 16, 16)), (2, 2, 2))
    logits = np.zeros((2, *box.shape), np.float32)
    logits[1] = 1  # all foreground: the box must be filled, and no voxel more
    classes = restore(logits, box, scan)
    expected = np.zeros(scan.shape, np.uint8)
    expected[10:26, 12:28, 8:24] = 1
    assert np.array_equal(classes, expected)


def test_a_turned_grid_is_interpolated_and_background_outside():
    source = Geometry((20, 20, 20), np.eye(4))
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    target = Geometry((20, 20, 20), turn)
    logits = np.zeros((2, 20, 20, 20), np.float32)
    logits[1] = 1
    classes = restore(logits, source, target)
    inside = target.positions(np.argwhere(classes == 1))
    outside = target.positions(np.argwhere(classes == 0))
    assert (inside >= -0.5).all()
    assert (inside <= 19.5).all()
    assert ((outside < -0.5) | (outside > 19.5)).any(axis=1).all()
    labels = moved(LabelMap(np.ones((20, 20, 20), np.uint8), source), target)
    assert np.array_equal(labels.array, classes)


def test_a_centre_of_mass_does_not_drift_through_resampling():
    scan = Geometry((48, 40, 20), np.diag([-0.9, 0.9, 3.0, 1.0]))
    network = rescaled(axes_towards(scan, "RAS").of_geometry(scan), (1.7, 1.3, 2.1))
    index = np.stack(np.meshgrid(*map(np.arange, network.shape), indexing="ij"), axis=-1)
    distance = np.linalg.norm(network.positions(index) - scan.positions([23.5, 19.5, 9.5]), axis=-1)
    logits = np.stack([np.zeros(network.shape), 12 - distance]).astype(np.float32)
    classes = restore(logits, network, scan)
    centre = scan.positions(np.argwhere(classes == 1).mean(axis=0))
    np.testing.assert_allclose(centre, scan.positions([23.5, 19.5, 9.5]), atol=0.02)


@pytest.mark.parametrize(
    "shape", [(20, 11, 30), (5, 40, 17), (13, 20, 17), (1, 3, 4), (26, 40, 34)]
)
def test_resampling_gives_the_numbers_of_scikit_image(shape):
    array = np.random.default_rng(1).normal(size=(13, 20, 17)).astype(np.float32)
    expected = resize(array, shape, order=1, mode="edge", anti_aliasing=False)
    np.testing.assert_allclose(resampled(array, shape), expected, atol=1e-5)


def test_nearest_takes_the_lower_of_two_equally_near_voxels():
    fine = Geometry((4, 1, 1), np.eye(4))
    labels = LabelMap(np.array([1, 2, 3, 4], np.uint8).reshape(4, 1, 1), fine)
    coarse = moved(labels, rescaled(fine, (2, 1, 1)))
    assert coarse.array.ravel().tolist() == [1, 3]


@settings(deadline=None)
@given(geometries(), st.sampled_from(CODES), spacings, st.integers(0, 2**32))
def test_regions_are_painted_where_their_probability_is_above_a_half(geometry, code, spacing, seed):
    network = rescaled(axes_towards(geometry, code).of_geometry(geometry), spacing)
    logits = random_logits(network.shape, classes=3, seed=seed) - 0.5
    shares = restore_probabilities(logits, network, geometry, "regions")
    expected = np.select([shares[..., n] > 0.5 for n in (2, 1, 0)], [7, 300, 2], 0)
    found = restore_regions(logits, network, geometry, (2, 300, 7), np.uint16)
    sure = (np.abs(shares - 0.5) > 1e-3).all(axis=-1)
    assert np.array_equal(found[sure], expected[sure])


def test_nothing_is_painted_outside_the_box():
    scan = Geometry((9, 8, 7), np.eye(4))
    for spacing in ((1, 1, 1), (2, 1, 1)):
        box = rescaled(cropped(scan, (2, 2, 2), (4, 4, 4)), spacing)
        found = restore_regions(np.ones((1, *box.shape), np.float32), box, scan, (5,))
        expected = np.zeros(scan.shape, np.uint8)
        expected[2:6, 2:6, 2:6] = 5
        assert np.array_equal(found, expected)
