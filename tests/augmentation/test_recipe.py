"""Augmentation: repeatable, image and labels together, labels stay labels."""

import numpy as np
import pytest

from medseg.augmentation import recipe
from medseg.augmentation.intensity import (
    Brightness,
    Contrast,
    Gamma,
    GaussianBlur,
    GaussianNoise,
    LowResolution,
)
from medseg.augmentation.spatial import Spatial, cut
from medseg.errors import PlanRefused

ALL = [GaussianNoise(), GaussianBlur(), Brightness(), Contrast(), LowResolution(), Gamma(),
       Gamma(inverted=True)]  # fmt: skip


@pytest.fixture(scope="module")
def case():
    classes = np.zeros((40, 30, 36), np.uint8)
    classes[10:25, 8:20, 12:30] = 7
    classes[28:35, 5:12, 3:9] = 2
    image = classes[..., None].astype(np.float32) * 10
    return image, classes


def patches(case, seed, name="default", patch=(24, 24, 24)):
    steps = recipe(name, (1, 1, 1), patch, (0, 1, 2))
    return steps.patch(*case, np.array([18, 14, 18]), patch, np.random.default_rng(seed))


def test_the_same_seed_gives_the_same_patch(case):
    for one, other in zip(patches(case, 5), patches(case, 5), strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(patches(case, 5)[0], patches(case, 6)[0])


@pytest.mark.parametrize("name", ["default", "light"])
def test_labels_stay_labels(case, name):
    for seed in range(40):
        assert set(np.unique(patches(case, seed, name)[1])) <= {0, 2, 7}


def test_image_and_labels_move_together(case):
    steps = Spatial((1, 1, 1), rotate_probability=1, scale_probability=1)
    for seed in range(10):
        placement = steps.draw(np.random.default_rng(seed))
        image = cut(case[0][..., 0], np.array([18, 14, 18]), placement, (24, 24, 24))
        classes = cut(case[1], np.array([18, 14, 18]), placement, (24, 24, 24))
        inside = image == 70  # interpolated voxels at borders lie between the values
        assert inside.sum() > 500
        assert (classes[inside] == 7).all()


def test_without_augmentation_a_patch_is_a_crop(case):
    image, classes = patches(case, 1, name="none")
    assert np.array_equal(classes, case[1][6:30, 2:26, 6:30])
    assert np.array_equal(image, case[0][6:30, 2:26, 6:30])


def test_a_patch_over_the_edge_is_filled_with_zeros(case):
    steps = recipe("none", (1, 1, 1), (24, 24, 24), ())
    _, classes = steps.patch(*case, np.array([0, 0, 0]), (24, 24, 24), np.random.default_rng(0))
    assert not classes[:12].any()
    assert np.array_equal(classes[12:, 12:, 12:], case[1][:12, :12, :12])


def test_rotation_is_in_millimetres():
    # A round blob stays round in mm when turned on a grid of 1 x 1 x 3 mm; turned in voxels,
    # which shears it, it differs by 0.5.
    axes = np.meshgrid(np.arange(61), np.arange(61), np.arange(21), indexing="ij")
    spacing = (1.0, 1.0, 3.0)
    distance = np.sqrt(sum(((a - c) * s) ** 2 for a, c, s in
                           zip(axes, (30, 30, 10), spacing, strict=True)))  # fmt: skip
    blob = np.exp(-np.square(distance / 10) / 2).astype(np.float32)
    steps = Spatial(spacing, rotate_probability=1, scale_probability=0, mirror_axes=())
    placement = steps.draw(np.random.default_rng(3))
    turned = cut(blob, np.array([30, 30, 10]), placement, (41, 41, 15))
    assert np.abs(turned - blob[10:51, 10:51, 3:18]).max() < 0.03
    assert np.abs(placement.matrix - np.eye(3)).max() > 0.1  # it did turn


def test_mirroring_keeps_to_the_axes_it_is_told():
    steps = Spatial((1, 1, 1), rotate_probability=0, scale_probability=0, mirror_axes=(1,))
    flips = {steps.draw(np.random.default_rng(seed)).flips for seed in range(30)}
    assert flips == {(False, False, False), (False, True, False)}


@pytest.mark.parametrize("step", ALL, ids=lambda step: type(step).__name__)
def test_intensity_changes_are_finite_repeatable_and_keep_the_type(step):
    patch = np.random.default_rng(0).normal(size=(9, 8, 7)).astype(np.float32)
    before = patch.copy()
    drawn = step.draw(np.random.default_rng(1))
    out = step.apply(patch, drawn)
    assert out.shape == patch.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert not np.array_equal(out, patch)
    assert np.array_equal(out, step.apply(patch, drawn))
    assert np.array_equal(patch, before)


@pytest.mark.parametrize("step", ALL, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("value", [0, -3, 1e6])
def test_a_constant_patch_stays_finite(step, value):
    patch = np.full((9, 8, 7), value, np.float32)
    assert np.isfinite(step.apply(patch, step.draw(np.random.default_rng(1)))).all()


def test_gamma_keeps_mean_and_deviation():
    patch = np.random.default_rng(0).gamma(2, size=(20, 20, 20)).astype(np.float32)
    out = Gamma().apply(patch, {"power": 1.4})
    assert out.mean() == pytest.approx(patch.mean(), rel=1e-4)
    assert out.std() == pytest.approx(patch.std(), rel=1e-4)


def test_an_unknown_recipe_is_refused():
    with pytest.raises(PlanRefused, match="no recipe 'wild'"):
        recipe("wild", (1, 1, 1), (8, 8, 8), ())
