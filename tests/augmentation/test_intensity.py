"""Intensity changes: finite, repeatable, and what nnU-Net's do."""

import numpy as np
import pytest
from scipy import ndimage

from medseg.augmentation.intensity import (
    Brightness,
    Contrast,
    Gamma,
    GaussianBlur,
    GaussianNoise,
    LowResolution,
)

ALL = [GaussianNoise(), GaussianBlur(channel_probability=1), Brightness(), Contrast(),
       LowResolution(1, 1, (0.5, 0.7)), Gamma(), Gamma(inverted=True)]  # fmt: skip
STEPS = pytest.mark.parametrize("step", ALL, ids=lambda step: type(step).__name__)


def make_channel(shape=(20, 18, 22)):
    return np.random.default_rng(0).gamma(2, size=shape).astype(np.float32) - 1


@STEPS
@pytest.mark.parametrize("shape", [(9, 8, 7), (1, 16, 12), (3, 1, 1)])
def test_a_change_is_finite_repeatable_and_keeps_shape_and_type(step, shape):
    (drawn,) = step.draw(np.random.default_rng(1), 1)
    out = step.apply(make_channel(shape), drawn)
    assert out.shape == shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert np.array_equal(out, step.apply(make_channel(shape), drawn))
    assert not np.array_equal(out, make_channel(shape)) or min(shape[1:]) == 1


@STEPS
@pytest.mark.parametrize("value", [0, -3, 1e6])
def test_a_constant_channel_stays_finite(step, value):
    (drawn,) = step.draw(np.random.default_rng(1), 1)
    assert np.isfinite(step.apply(np.full((9, 8, 7), value, np.float32), drawn)).all()


def test_noise_has_one_deviation_for_all_channels_but_other_values():
    one, other = GaussianNoise().draw(np.random.default_rng(1), 2)
    assert one["deviation"] == other["deviation"]
    assert one["seed"] != other["seed"]
    noise = GaussianNoise().apply(np.zeros((40, 40, 40), np.float32), one)
    assert noise.std() == pytest.approx(one["deviation"], rel=0.02)
    assert abs(noise.mean()) < 0.01 * one["deviation"]


@pytest.mark.parametrize("step", [GaussianBlur(), LowResolution()])
def test_half_of_the_channels_of_a_chosen_sample_are_changed(step):
    drawn = step.draw(np.random.default_rng(0), 2000)
    assert sum(one is not None for one in drawn) == pytest.approx(1000, abs=70)


def test_blur_is_a_gaussian_of_each_axis_own_sigma():
    sigmas = (0.5, 0.8, 1.0)
    expected = ndimage.gaussian_filter(make_channel(), sigmas, mode="mirror")
    found = GaussianBlur().apply(make_channel(), {"sigmas": sigmas})
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_contrast_stretches_about_the_mean_within_the_old_range():
    channel = make_channel()
    out = Contrast().apply(channel.copy(), {"factor": 1.25})
    expected = (channel - channel.mean()) * 1.25 + channel.mean()
    np.testing.assert_allclose(out, expected.clip(channel.min(), channel.max()), atol=1e-5)
    assert (out == channel.max()).any()


@pytest.mark.parametrize("inverted", [False, True])
def test_gamma_bends_values_in_their_range_and_keeps_mean_and_deviation(inverted):
    channel = make_channel()
    out = Gamma(inverted=inverted).apply(channel.copy(), {"power": 1.4})
    sign = -1 if inverted else 1
    scaled = sign * channel - (sign * channel).min()
    bent = sign * (scaled / scaled.max()) ** 1.4
    expected = (bent - bent.mean()) / bent.std() * channel.std() + channel.mean()
    np.testing.assert_allclose(out, expected, atol=2e-4)


def test_a_coarse_scan_takes_nearest_voxels_and_joins_them_by_lines():
    # torch 2.13: interpolate(x, 3, mode="nearest-exact") of 0..5, then "linear" to 6
    line = np.arange(6, dtype=np.float32)[None, None]
    out = LowResolution().apply(np.repeat(line, 2, 1), {"factor": 0.5})
    np.testing.assert_allclose(out[0, 0], [1, 1.5, 2.5, 3.5, 4.5, 5])


def test_the_through_plane_axis_of_a_flat_patch_keeps_its_resolution():
    slices = np.repeat(np.arange(8, dtype=np.float32), 16 * 16).reshape(8, 16, 16)
    flat = LowResolution().apply(slices.copy(), {"factor": 0.5}, flat=True)
    np.testing.assert_allclose(flat, slices)
    assert not np.allclose(LowResolution().apply(slices.copy(), {"factor": 0.5}), slices)


def test_factors_lie_on_both_sides_of_one_equally_often():
    factors = np.array([one["power"] for one in Gamma().draw(np.random.default_rng(0), 4000)])
    assert np.mean(factors < 1) == pytest.approx(0.5, abs=0.03)
    assert factors.min() == pytest.approx(0.7, abs=0.01)
    assert factors.max() == pytest.approx(1.5, abs=0.01)
    assert np.mean(factors[factors > 1]) == pytest.approx(1.25, abs=0.02)
