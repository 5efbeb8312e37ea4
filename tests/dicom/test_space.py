import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.dicom.space import (
    affine_from_slices,
    from_lps,
    pixel_spacing,
    slice_normal,
    slice_orientation,
    slice_position,
    to_lps,
)
from medseg.geometry import Geometry


def test_left_is_minus_x_and_back_is_minus_y():
    np.testing.assert_array_equal(from_lps([[1, 2, 3]]), [[-1, -2, 3]])
    np.testing.assert_array_equal(to_lps(from_lps([4.0, 5, 6])), [4, 5, 6])


def test_pixel_spacing_gives_the_distance_between_rows_first():
    affine = affine_from_slices((0, 0, 0), (1, 0, 0, 0, 1, 0), (2.0, 0.5), (0, 0, 3))
    np.testing.assert_array_equal(np.abs(np.diag(affine)), [0.5, 2, 3, 1])
    assert pixel_spacing(Geometry((4, 5, 6), affine)) == (2.0, 0.5)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_slices_and_geometry_lead_back_to_each_other(seed):
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    orientation = turn[:, :2].T.ravel()
    position, spacing = rng.uniform(-300, 300, 3), rng.uniform(0.3, 5, 2)
    step = slice_normal(orientation) * rng.uniform(0.5, 9) + turn[:, 0] * rng.uniform(-2, 2)
    geometry = Geometry((4, 5, 6), affine_from_slices(position, orientation, spacing, step))
    np.testing.assert_allclose(slice_orientation(geometry), orientation, atol=1e-9)
    np.testing.assert_allclose(slice_position(geometry, 3), position + 3 * step, atol=1e-9)
    np.testing.assert_allclose(pixel_spacing(geometry), spacing, atol=1e-9)
