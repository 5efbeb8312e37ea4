"""Scans as a plan asks for them."""

import numpy as np
import pytest

from medseg.errors import InputRefused
from medseg.geometry import Geometry
from medseg.labels import Label, LabelSet
from medseg.plan import Channel, Clip, Network, Plan
from medseg.preparing import prepare, prepare_labels
from medseg.volume import LabelMap, Volume


def make_plan(**changes):
    told = {
        "spacing": (1, 1, 1),
        "channels": (Channel(name="T1", modality="MR"),),
        "patch": (8, 8, 8),
        "network": Network(name="unet"),
        "labels": LabelSet((Label(1, "One"),)),
    }
    return Plan(**(told | changes))


def test_a_scan_stored_as_lps_reaches_the_network_as_ras():
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    lps = Volume(array, Geometry((2, 3, 4), np.diag([-1.0, -1.0, 1.0, 1.0])))
    prepared = prepare(lps, make_plan())
    turned = array[::-1, ::-1]
    expected = (turned - array.mean()) / array.std()
    np.testing.assert_allclose(prepared.array[..., 0], expected, rtol=1e-5)
    assert prepared.geometry.orientation == "RAS"


def test_z_score_gives_mean_zero_and_deviation_one_and_a_flat_scan_zeros():
    rng = np.random.default_rng(0)
    grid = Geometry((9, 8, 7), np.eye(4))
    noisy = Volume((rng.normal(1e6, 3.0, grid.shape)).astype(np.float32), grid)
    prepared = prepare(noisy, make_plan()).array
    assert abs(prepared.mean()) < 1e-3
    assert prepared.std() == pytest.approx(1, abs=1e-3)
    flat = Volume(np.full(grid.shape, 7, np.float32), grid)
    assert not prepare(flat, make_plan()).array.any()


def test_ct_is_clipped_to_the_window_and_scaled_by_the_data_set():
    window = Clip(low=-100, high=200, mean=50, deviation=25)
    plan = make_plan(channels=(Channel(name="CT", modality="CT", normalisation=window),))
    array = np.array([-1000, 50, 75, 3000], np.float32).reshape(4, 1, 1)
    prepared = prepare(Volume(array, Geometry((4, 1, 1), np.eye(4)), "CT"), plan)
    assert prepared.array.ravel().tolist() == [-6, 0, 1, 6]


def test_channels_are_prepared_one_by_one():
    grid = Geometry((4, 4, 4), np.eye(4))
    array = np.random.default_rng(0).normal(size=(4, 4, 4, 2)).astype(np.float32) * (1, 100)
    plan = make_plan(channels=(Channel(name="T1"), Channel(name="T2")))
    prepared = prepare(Volume(array.astype(np.float32), grid), plan).array
    np.testing.assert_allclose(prepared.std(axis=(0, 1, 2)), 1, rtol=1e-4)


def test_a_scan_with_other_channels_is_refused():
    grid = Geometry((4, 4, 4), np.eye(4))
    with pytest.raises(InputRefused, match="has 2 channels, the model wants 1: T1"):
        prepare(Volume(np.zeros((4, 4, 4, 2), np.float32), grid), make_plan())


def test_input_is_not_changed():
    array = np.random.default_rng(0).normal(size=(4, 4, 4)).astype(np.float32)
    before = array.copy()
    prepare(Volume(array, Geometry((4, 4, 4), np.eye(4))), make_plan(spacing=(2, 1, 1)))
    assert np.array_equal(array, before)


def test_labels_and_image_lie_on_one_grid():
    grid = Geometry((5, 6, 7), np.diag([-1.0, 2.0, 1.5, 1.0]))
    plan = make_plan(spacing=(1.2, 1.2, 1.2))
    image = prepare(Volume(np.zeros(grid.shape, np.float32), grid), plan)
    labels = prepare_labels(LabelMap(np.ones(grid.shape, np.uint8), grid), plan)
    assert labels.geometry.same_as(image.geometry)
    assert labels.array.min() == 1  # the same box: nothing falls outside
