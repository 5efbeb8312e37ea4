"""A recipe: repeatable, image and labels together, said in a config and refused where wrong."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.augmentation import RECIPES, STEPS, recipe
from medseg.errors import PlanRefused
from tests.augmentation.factory import make_case, make_patch

CUBE = ((1, 1, 1), (8, 8, 8), (0, 1, 2))


@pytest.mark.parametrize("told", ["default", {"recipe": "light", "elastic": {"probability": 1}}])
def test_the_same_seed_gives_the_same_patch(told):
    for one, other in zip(make_patch(told, 5), make_patch(told, 5), strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(make_patch(told, 5)[0], make_patch(told, 6)[0])


@given(
    st.sampled_from([*RECIPES, {"recipe": "default", "elastic": {"probability": 0.5}}]),
    st.integers(0, 2**32),
    st.tuples(st.integers(1, 20), st.integers(1, 40), st.integers(1, 40)),
    st.tuples(*[st.integers(-20, 60)] * 3),
)
def test_any_patch_anywhere_is_finite_and_its_labels_stay_labels(told, seed, patch, centre):
    image, classes = make_patch(told, seed, patch, centre=np.array(centre))
    assert image.shape == (*patch, 1)
    assert classes.shape == patch
    assert image.dtype == np.float32
    assert classes.dtype == np.uint8
    assert np.isfinite(image).all()
    assert set(np.unique(classes)) <= {0, 2, 7}


def test_without_augmentation_a_patch_is_a_crop():
    image, classes = make_patch("none", 1)
    assert np.array_equal(classes, make_case()[1][6:30, 2:26, 6:30])
    assert np.array_equal(image, make_case()[0][6:30, 2:26, 6:30])


def test_a_patch_over_the_edge_is_filled_with_zeros():
    _, classes = make_patch("none", centre=np.array([0, 0, 0]))
    assert not classes[:12].any()
    assert np.array_equal(classes[12:, 12:, 12:], make_case()[1][:12, :12, :12])


def test_a_case_is_never_changed():
    case = make_case(2)
    before = [one.copy() for one in case]
    for seed in range(8):
        make_patch("default", seed, case=case)
    assert all(np.array_equal(one, other) for one, other in zip(case, before, strict=True))


@pytest.mark.parametrize("stored", [np.float16, np.int16])
def test_a_case_stored_in_half_the_bytes_gives_the_same_patch(stored):
    image, classes = make_case()
    for seed in range(6):
        np.testing.assert_array_equal(
            make_patch(seed=seed, case=(image.astype(stored), classes))[0], make_patch(seed=seed)[0]
        )


def test_flipping_left_and_right_swaps_their_classes_and_no_other_axis_does():
    crop, still = make_patch("none")[1], {"brightness": {"probability": 0}}
    exchanged = np.array([0, 1, 7, 3, 4, 5, 6, 2], np.uint8)  # 2 and 7 in each other's place
    flips = set()
    for seed in range(24):
        plain = make_patch(still, seed)[1]
        told = make_patch(still, seed, side_axis=1, swap=((2, 7),))[1]
        (axes,) = (axes for axes in product((False, True), repeat=3)
                   if np.array_equal(np.flip(crop, np.flatnonzero(axes)), plain))  # fmt: skip
        assert np.array_equal(told, exchanged[plain] if axes[1] else plain)
        flips.add(axes)
    assert len(flips) == 8


def test_the_value_of_ignored_voxels_is_left_alone_when_sides_are_swapped():
    image, classes = make_case()
    classes[0:8] = 255
    for seed in range(6):
        out = make_patch("light", seed, case=(image, classes), side_axis=0, swap=((2, 7),))[1]
        assert set(np.unique(out)) <= {0, 2, 7, 255}


def test_the_default_recipe_is_that_of_nnunet():
    # batchgeneratorsv2 0.3.6 as nnunetv2 2.8.1's nnUNetTrainer.get_training_transforms calls it
    made = recipe("default", *CUBE)
    assert [(type(step).__name__, step.probability) for step in made.intensities] == [
        ("GaussianNoise", 0.1), ("GaussianBlur", 0.2), ("Brightness", 0.15), ("Contrast", 0.15),
        ("LowResolution", 0.25), ("Gamma", 0.1), ("Gamma", 0.3),
    ]  # fmt: skip
    noise, blur, brightness, contrast, coarse, inverted, gamma = made.intensities
    assert noise.deviation == (0, 0.1)
    assert (blur.sigmas, blur.channel_probability) == ((0.5, 1), 0.5)
    assert brightness.factors == contrast.factors == (0.75, 1.25)
    assert (coarse.factors, coarse.channel_probability) == ((0.5, 1), 0.5)
    assert (inverted.inverted, gamma.inverted) == (True, False)
    assert inverted.powers == gamma.powers == (0.7, 1.5)
    assert (made.spatial.rotate_probability, made.spatial.scale_probability) == (0.2, 0.2)
    assert made.spatial.scales == (0.7, 1.4)
    assert made.elastic is None


def test_a_mapping_changes_a_recipe_and_keeps_the_rest():
    told = {"recipe": "default", "gamma": {"probability": 0.5}, "contrast": "none",
            "elastic": {"intervals": [3, 4]}}  # fmt: skip
    made = recipe(told, *CUBE)
    kinds = [type(step).__name__ for step in made.intensities]
    assert "Contrast" not in kinds
    assert len(kinds) == 6
    assert made.intensities[-1].probability == 0.5
    assert made.intensities[-1].powers == (0.7, 1.5)
    assert made.elastic.intervals == (3, 4)


def test_a_list_keeps_its_order_and_may_name_a_step_twice():
    told = ["gamma", {"gaussian_noise": {"deviation": [0, 0.3]}}, "gamma"]
    made = recipe(told, *CUBE)
    assert [type(step).__name__ for step in made.intensities] == ["Gamma", "GaussianNoise", "Gamma"]
    assert made.intensities[1].deviation == (0, 0.3)
    assert made.spatial.rotate_probability == 0


@pytest.mark.parametrize("name", STEPS)
def test_every_step_can_be_asked_for_alone(name):
    image, classes = make_patch([{name: {}}], 3)
    assert np.isfinite(image).all()
    assert classes.any()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("defualt", "no recipe 'defualt'. Did you mean 'default'"),
        ({"recipe": "wild"}, "no recipe 'wild'. Use one of default, light, none"),
        ({"gausian_noise": {}}, "Did you mean 'gaussian_noise'"),
        ({"gamma": {"power": [1, 2]}}, "no parameter of gamma 'power'. Did you mean 'powers'"),
        ({"gamma": {"probability": 1.5}}, "gamma.probability: Input should be less than or equal"),
        ({"gamma": {"powers": [2, 1]}}, "gamma.powers: the range begins at 2, above its end 1"),
        ({"gaussian_blur": {"sigmas": [0, 1]}}, "gaussian_blur.sigmas.0: Input should be greater"),
        ({"low_resolution": {"factors": [0, 1]}}, "low_resolution.factors.0: Input should be"),
        ({"elastic": {"strength": [0.1, 0.9]}}, "elastic.strength.1: Input should be less"),
        ({"spatial": {"degrees": float("nan")}}, "spatial.degrees"),
        ({"gamma": 3}, "gamma: takes parameters by name"),
        ([{"gamma": {}, "contrast": {}}], "each entry is a name, or one name"),
        (["spatial", "spatial"], "spatial: comes twice"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_nearest_name(told, words):
    with pytest.raises(PlanRefused) as refusal:
        recipe(told, *CUBE)
    assert refusal.value.code in ("augmentation-unknown", "augmentation-invalid")
    assert words in str(refusal.value)
