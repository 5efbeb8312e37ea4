from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.dicom.space import slice_normal
from medseg.errors import InputRefused
from medseg.reading.headers import Slice
from medseg.reading.slices import plane_of, stacked

HEADER = type("Header", (), {"path": Path("x")})()
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def slices_at(positions, orientation=AXIAL, thickness=5.0) -> list[Slice]:
    return [Slice(HEADER, n, 5, 4, tuple(position), tuple(orientation), (2.0, 1.0), thickness, n)
            for n, position in enumerate(positions)]  # fmt: skip


def axial(*depths: float) -> list[Slice]:
    return slices_at([(0.0, 0.0, depth) for depth in depths])


@st.composite
def stacks(draw):
    """A stack in any orientation and shear, shuffled, with its true LPS origin and step."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    plane = turn[:, :2].T.ravel()
    step = slice_normal(plane) * draw(st.floats(0.5, 8)) + turn[:, :2] @ rng.uniform(-2, 2, 2)
    origin, count = rng.uniform(-300, 300, 3), draw(st.integers(2, 12))
    ordered = [origin + k * step for k in range(count)]
    return slices_at(rng.permutation(ordered), plane), ordered, plane, step


@settings(deadline=None)
@given(stacks())
def test_a_stack_is_sorted_along_its_normal_and_keeps_every_position(case):
    slices, ordered, plane, step = case
    stack = stacked(slices)
    np.testing.assert_allclose([one.position for one in stack.slices], ordered, atol=1e-6)
    flip = np.diag([-1.0, -1.0, 1.0])
    np.testing.assert_allclose(stack.geometry.affine[:3, 2], flip @ step, atol=1e-6)
    np.testing.assert_allclose(stack.geometry.affine[:3, 3], flip @ ordered[0], atol=1e-6)
    np.testing.assert_allclose(stack.geometry.affine[:3, 0], flip @ plane[:3] * 1.0, atol=1e-6)
    np.testing.assert_allclose(stack.geometry.affine[:3, 1], flip @ plane[3:] * 2.0, atol=1e-6)
    assert stack.geometry.shape == (4, 5, len(ordered))


@settings(deadline=None)
@given(stacks(), st.integers(0, 2**32))
def test_rounding_of_positions_does_not_matter(case, seed):
    slices, ordered, _, _ = case
    rng = np.random.default_rng(seed)
    rough = [replace(one, position=tuple(np.add(one.position, rng.uniform(-1e-4, 1e-4, 3))))
             for one in slices]  # fmt: skip
    corners = stacked(slices).geometry.corners
    np.testing.assert_allclose(stacked(rough).geometry.corners, corners, atol=1e-3)
    assert len(ordered) == len(rough)


def refusal_of(slices) -> InputRefused:
    with pytest.raises(InputRefused) as refusal:
        stacked(slices)
    return refusal.value


def test_missing_slices_are_counted_and_placed():
    refusal = refusal_of(axial(0, 3, 6, 12, 15, 24, 27))
    assert refusal.code == "slices-missing"
    assert "missing slice: 3 in 2 gap(s) around 9.00, 19.50 mm" in refusal.found
    assert "7 of 10 images are here" in refusal.found


def test_three_slices_of_four_are_called_missing_not_uneven():
    assert refusal_of(axial(0, 3, 9)).code == "slices-missing"


def test_uneven_steps_are_refused_with_their_range():
    refusal = refusal_of(axial(0, 3, 6, 9.6, 13.2))
    assert refusal.code == "slices-uneven"
    assert "non-uniform spacing" in refusal.found
    assert "3.00 to 3.60 mm" in refusal.found


def test_steps_off_by_two_per_cent_are_read_with_a_warning():
    stack = stacked(axial(0, 3, 6.06, 9.06, 12.06))
    assert [one.code for one in stack.findings] == ["spacing-uneven"]
    assert "0.0" in stack.findings[0].words


def test_two_slices_at_one_position_are_refused():
    refusal = refusal_of(axial(0, 3, 3.004, 6))
    assert refusal.code == "slices-repeated"
    assert "duplicate position: 4 slices lie at 3 positions" in refusal.found


def test_sideways_jumps_are_refused():
    refusal = refusal_of(slices_at([(0, 0, 0), (0.5, 0, 3), (0, 0, 6)]))
    assert refusal.code == "slices-curved"
    assert "0.50 mm" in refusal.found


def test_a_tilted_gantry_is_told_and_kept():
    stack = stacked(slices_at([(0, 1.0 * k, 3.0 * k) for k in range(5)]))
    assert stack.geometry.sheared
    assert "18.4 degrees" in stack.findings[0].words


def test_one_slice_takes_its_thickness_and_says_so():
    stack = stacked(axial(7))
    assert stack.geometry.spacing == (1.0, 2.0, 5.0)
    assert stack.findings[0].code == "one-slice"
    assert refusal_of(slices_at([(0, 0, 0)], thickness=None)).code == "thickness-missing"


@pytest.mark.parametrize("bad", [(1, 0, 0, 0.01, 1, 0), (1, 0, 0, 0, 0.5, 0), (0,) * 6])
def test_directions_that_are_no_image_axes_are_refused(bad):
    with pytest.raises(InputRefused, match="right angle") as refusal:
        plane_of(bad)
    assert refusal.value.code == "orientation-invalid"


def test_rounded_directions_become_a_right_angle():
    plane = plane_of((0.999, 0.0005, 0, 0, 1.001, 0))
    np.testing.assert_allclose(np.linalg.norm(plane.reshape(2, 3), axis=1), 1)
    assert abs(plane[:3] @ plane[3:]) < 1e-12


def test_a_grid_that_cannot_be_is_refused():
    flat = [replace(one, pixel_spacing=(1e-9, 1e-9)) for one in axial(0, 1)]
    assert refusal_of(flat).code == "geometry-invalid"
