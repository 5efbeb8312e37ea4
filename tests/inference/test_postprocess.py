"""What steps of post-processing take away and fill in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medseg.geometry import Geometry
from medseg.inference.postprocess import postprocessed
from medseg.labels import Label, LabelSet
from medseg.models import FillHoles, LargestComponent, MinimumVolume
from medseg.volume import LabelMap

ORGANS = LabelSet((Label(1, "Liver"), Label(2, "Tumour"), Label(9, "Both", region=(1, 2))))


def make_mask(shape=(12, 12, 12), spacing=(1, 1, 2), labels=ORGANS, **boxes):
    array = np.zeros(shape, np.uint8)
    for name, box in boxes.items():
        array[tuple(slice(*ends) for ends in box)] = int(name[1:].split("_")[0])
    return LabelMap(array, Geometry(shape, np.diag([*spacing, 1.0])), labels)


def after(mask, *steps):
    return postprocessed(mask, steps)[0].array


def test_only_the_largest_component_of_a_label_stays():
    mask = make_mask(v1=[(0, 4), (0, 4), (0, 4)], v1_far=[(8, 10), (8, 10), (8, 10)],
                     v2=[(10, 12), (0, 2), (0, 2)])  # fmt: skip
    found = after(mask, LargestComponent(label=1))
    expected = mask.array.copy()
    expected[8:10, 8:10, 8:10] = 0
    assert np.array_equal(found, expected)
    assert mask.array[8, 8, 8] == 1  # what was given is not changed


def test_labels_that_touch_are_one_component_of_all_foreground():
    mask = make_mask(v1=[(0, 4), (0, 4), (0, 4)], v2=[(4, 5), (4, 5), (4, 5)],
                     v2_far=[(8, 11), (8, 11), (8, 11)])  # fmt: skip
    found = after(mask, LargestComponent())
    assert found[4, 4, 4] == 2  # joined by a corner
    assert not found[8:].any()


def test_a_speck_of_a_region_falls_to_the_region_around_it():
    regions = LabelSet((*ORGANS, Label(8, "Inner", region=(2,))))
    mask = make_mask(labels=regions, v1=[(0, 8), (0, 8), (0, 8)], v2=[(1, 4), (1, 4), (1, 4)],
                     v2_speck=[(6, 7), (6, 7), (6, 7)])  # fmt: skip
    assert after(mask, LargestComponent(label=8))[6, 6, 6] == 1
    assert after(mask, LargestComponent(label=2))[6, 6, 6] == 0


def test_components_below_a_volume_go():
    mask = make_mask(v1=[(0, 2), (0, 2), (0, 2)], v1_far=[(6, 8), (6, 8), (6, 9)])  # 16, 24 mm3
    assert np.count_nonzero(after(mask, MinimumVolume(label=1, ml=0.016))) == 20
    assert np.count_nonzero(after(mask, MinimumVolume(label=1, ml=0.017))) == 12
    assert not after(mask, MinimumVolume(label=1, ml=0.025)).any()


def test_a_hole_gets_the_value_of_what_encloses_it_and_other_labels_in_it_stay():
    mask = make_mask(v1=[(1, 6), (1, 6), (1, 6)], v0=[(2, 5), (2, 5), (2, 5)],
                     v2=[(3, 4), (3, 4), (3, 4)])  # fmt: skip
    found = after(mask, FillHoles(label=1))
    assert found[3, 3, 3] == 2
    assert np.count_nonzero(found[1:6, 1:6, 1:6] == 1) == 124
    assert not found[6:].any()


def test_a_hole_with_a_way_out_stays_open():
    mask = make_mask(v1=[(1, 6), (1, 6), (1, 6)], v0=[(2, 6), (3, 4), (3, 4)])
    assert np.array_equal(after(mask, FillHoles(label=1)), mask.array)


def test_a_ring_in_an_image_of_one_slice_is_filled():
    mask = make_mask((12, 12, 1), v1=[(1, 6), (1, 6), (0, 1)], v0=[(2, 5), (2, 5), (0, 1)])
    assert np.count_nonzero(after(mask, FillHoles(label=1))) == 25
    tube = make_mask((12, 12, 3), v1=[(1, 6), (1, 6), (1, 2)], v0=[(2, 5), (2, 5), (1, 2)])
    assert np.count_nonzero(after(tube, FillHoles(label=1))) == 16  # open above and below


def test_a_hole_between_labels_goes_to_the_nearest():
    mask = make_mask(v1=[(0, 8), (0, 5), (0, 5)], v2=[(4, 8), (0, 5), (0, 5)],
                     v0=[(1, 7), (2, 3), (2, 3)])  # fmt: skip
    found = after(mask, FillHoles())[:8, 2, 2]
    # the walls beside the hole are 1 up to index 3, then 2
    assert found.tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


def test_what_was_changed_is_told_and_steps_follow_one_another():
    mask = make_mask(v1=[(0, 4), (0, 4), (0, 4)], v1_far=[(8, 10), (8, 10), (8, 10)])
    steps = (LargestComponent(label=1), MinimumVolume(label=1, ml=0.001), FillHoles(label=2))
    found, findings = postprocessed(mask, steps)
    assert [finding.code for finding in findings] == ["postprocessed"]
    assert findings[0].words == (
        "Post-processing changed 0.016 ml: keep the largest component of Liver"
    )
    assert np.count_nonzero(found.array) == 64


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(0.3, 0.7))
def test_components_and_holes_are_those_of_scipy(seed, density):
    array = (np.random.default_rng(seed).random((6, 7, 5)) < density).astype(np.uint8)
    mask = LabelMap(array, Geometry(array.shape, np.eye(4)), ORGANS)
    filled = ndimage.binary_fill_holes(np.pad(array, 1))[1:-1, 1:-1, 1:-1]
    assert np.array_equal(after(mask, FillHoles(label=1)), filled)
    parts, many = ndimage.label(array, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    kept = after(mask, LargestComponent(label=1))
    assert np.count_nonzero(kept) == (sizes.max() if many else 0)


@pytest.mark.parametrize("step", [LargestComponent(), FillHoles(label=9), MinimumVolume(ml=1)])
def test_an_empty_mask_stays_empty(step):
    mask = make_mask()
    assert postprocessed(mask, [step])[1] == ()
