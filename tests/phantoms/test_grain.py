import numpy as np
import pytest

from medseg.geometry import Geometry, cropped, rescaled
from medseg.phantoms.grain import noise, texture

SHAPE = (60, 50, 20)


def test_noise_has_the_deviation_asked_for_and_no_mean():
    grain = noise(SHAPE, 4, 20.0)
    assert grain.std() == pytest.approx(20, rel=0.02)
    assert abs(grain.mean()) < 1


def test_noise_reaches_to_the_neighbour_in_the_slice_and_not_to_the_next_slice():
    grain = noise(SHAPE, 4, 1.0)
    assert np.mean(grain[1:] * grain[:-1]) == pytest.approx(2 / 3, abs=0.03)  # [1, 2, 1]
    assert np.mean(grain[:, 1:] * grain[:, :-1]) == pytest.approx(2 / 3, abs=0.03)
    assert abs(np.mean(grain[:, :, 1:] * grain[:, :, :-1])) < 0.03


def test_noise_is_that_of_its_seed():
    assert np.array_equal(noise(SHAPE, 4, 20.0), noise(SHAPE, 4, 20.0))
    assert not np.array_equal(noise(SHAPE, 4, 20.0), noise(SHAPE, 5, 20.0))


def test_texture_belongs_to_the_patient_and_not_to_the_grid():
    grid = Geometry((30, 30, 12), np.diag([2.0, 2.0, 4.0, 1.0]))
    fine = rescaled(grid, (2 / 3, 2 / 3, 4 / 3))  # every third centre is one of the grid
    np.testing.assert_allclose(texture(fine, 1)[1::3, 1::3, 1::3], texture(grid, 1), atol=1e-3)
    part = cropped(grid, (5, 5, 5), (4, 4, 4))
    np.testing.assert_allclose(texture(part, 1), texture(grid, 1)[5:9, 5:9, 5:9], atol=1e-4)
