"""The sheet of a first layer: which layer that is, how its kernels lie, what they answer."""

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg.errors import ModelRefused, OutputFailed
from medseg.exporting.filters import (
    coloured,
    drawn_filters,
    filters_of,
    probes,
    response,
    write_filters,
)
from medseg.exporting.picture import BACKGROUND


def kernel(*size, filters=2, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(*size, channels, filters)).astype(np.float32)


def test_the_first_layer_is_the_largest_that_takes_the_image(packed):
    weights = {
        "decoder_0/kernel": kernel(3, 3, 3, channels=2), "encoder_0_0/kernel": kernel(3, 3, 3),
        "encoder_0_skip/kernel": kernel(1, 1, 1), "head/kernel": np.ones((2, 3), np.float32),
    }  # fmt: skip
    assert filters_of(packed(weights=weights)).layer == "encoder_0_0"
    with pytest.raises(ModelRefused) as refusal:
        filters_of(packed("other", weights={"head/kernel": np.ones((2, 3), np.float32)}))
    assert refusal.value.code == "filters-missing"


def test_filters_come_strongest_first_and_keep_their_numbers(packed):
    weights = {"stem/kernel": kernel(3, 3, 3, filters=3) * [1, 5, 2]}
    weights["stem/bias"] = np.arange(3.0)
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    filters = filters_of(packed(weights=weights))
    assert filters.numbers.tolist() == [1, 2, 0]
    assert filters.bias.tolist() == [1, 2, 0]


def test_kernels_lie_as_images_are_shown_whatever_the_grid(packed, plan):
    # a kernel that looks to the patient's right, in a grid whose first axis runs there
    towards = np.zeros((3, 3, 3, 1, 1), np.float32)
    towards[2, 1, 1] = 1
    found = filters_of(packed(weights={"stem/kernel": towards})).kernels[0, 0]
    assert np.argwhere(found).tolist() == [[1, 0, 1]]  # the left of the picture
    other = plan.model_copy(update={"orientation": "SPL"})
    found = filters_of(packed("other", plan=other, weights={"stem/kernel": towards})).kernels[0, 0]
    assert np.argwhere(found).tolist() == [[1, 1, 2]]  # towards the head: the last axis


def test_two_axes_are_those_of_the_slices(packed, plan):
    flat = plan.model_copy(update={"orientation": "SPL", "patch": (1, 8, 8)})
    down = np.zeros((3, 3, 1, 1), np.float32)
    down[2, 1] = 1  # towards the back: the last row
    found = filters_of(packed(plan=flat, weights={"stem/kernel": down})).kernels
    assert np.argwhere(found[0, 0]).tolist() == [[2, 1]]


def test_a_response_is_the_sum_over_kernel_and_channels_without_mirroring():
    image, weight = np.zeros((2, 5, 5)), np.arange(18.0).reshape(2, 3, 3)
    image[:, 2, 2] = 1, 10
    answer = response(weight, image, bias=0.5)
    assert answer[2, 2] == 4 + 10 * 13 + 0.5
    assert answer[1, 1] == 8 + 10 * 17 + 0.5  # the point lies to the lower right of it
    assert answer[0, 0] == 0.5


def test_a_filter_answers_to_the_pattern_it_is_made_for():
    gradient = np.array([[[-1.0, 0, 1]] * 3])
    edge, grating = (response(gradient, probes()[name][None]) for name in ("edge", "grating"))
    inside = edge[1:-1, 1:-1]
    assert set(np.argwhere(inside > 0)[:, 1].tolist()) == {11, 12}  # beside the edge alone
    assert np.abs(grating[1:-1, 1:-1]).max() == 6


def test_below_zero_is_blue_and_above_is_orange():
    blue, dark, orange = coloured(np.array([-1.0, 0, 1]), 1).tolist()
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]
    assert max(dark) < 40


def test_the_sheet_shows_feature_maps_of_a_scan(packed, tmp_path):
    scan = np.random.default_rng(1).normal(size=(9, 8, 7)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(scan, np.eye(4)), tmp_path / "scan.nii.gz")
    package = packed()
    write_filters(tmp_path / "alone.png", package)
    write_filters(tmp_path / "new" / "with.png", package, tmp_path / "scan.nii.gz")
    alone, more = (Image.open(tmp_path / name) for name in ("alone.png", "new/with.png"))
    assert more.height > alone.height
    with pytest.raises(OutputFailed) as refusal:
        write_filters(tmp_path / "alone.png", package)
    assert refusal.value.code == "output-exists"


def test_the_sheet_shows_feature_maps_of_a_picture(packed, plan, tmp_path):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "scan.png")
    flat = plan.model_copy(update={"orientation": "SPL", "patch": (1, 8, 8)})
    package = packed(plan=flat, weights={"stem/kernel": kernel(3, 3)})
    write_filters(tmp_path / "sheet.png", package, tmp_path / "scan.png")
    assert Image.open(tmp_path / "sheet.png").height > 500


@pytest.mark.parametrize(("many", "channels"), [(1, 1), (17, 3), (40, 1)])
def test_every_filter_up_to_thirty_two_has_its_column(packed, many, channels):
    rng = np.random.default_rng(0)
    filters = filters_of(packed(weights={"stem/kernel": kernel(3, 3, 3, filters=many)}))
    filters = type(filters)(
        "stem", rng.normal(size=(many, channels, 3, 3)), np.zeros(many), np.arange(many)
    )
    sheet = np.asarray(drawn_filters(filters, "tiny"))
    row = sheet[96 + 26 + 36, 174:-24]  # through the middle of the first kernels
    columns = np.count_nonzero(np.diff((row != BACKGROUND).any(axis=1).astype(int)) == 1)
    assert columns + 1 == min(many, 16)
