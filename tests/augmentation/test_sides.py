"""Left and right: recognised, paired, swapped; else the axis is not mirrored, and it is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.augmentation.sides import class_pairs, mirroring, side_axis
from medseg.errors import PlanRefused
from medseg.labels import Code, Label, LabelSet
from medseg.plan import Channel, Network, Plan


def make_labels(*names, **more):
    return LabelSet(tuple(Label(n, name, **more) for n, name in enumerate(names, 1)))


@pytest.mark.parametrize(
    "names",
    [
        ("Left kidney", "Right kidney"),
        ("kidney_left", "kidney_right"),
        ("KidneyLeft", "KidneyRight"),
        ("Kidney, left", "RIGHT KIDNEY"),
        ("Kidney_L", "Kidney_R"),  # TG-263
        ("kidneyL", "kidneyR"),
        ("Left-Lateral-Ventricle", "Right-Lateral-Ventricle"),  # FreeSurfer
        ("lh hippocampus", "rh hippocampus"),
        ("L", "R"),
        ("Lung_Lt", "Lung_Rt"),
    ],
)
def test_pairs_are_recognised_by_the_words_of_their_names(names):
    found = mirroring(make_labels(*names, "Liver tumour"), "RAS")
    assert found.swap == ((1, 2),)
    assert found.axes == (0, 1, 2)
    assert found.findings == ()


def test_several_pairs_are_told_apart():
    found = mirroring(
        make_labels("Right lung", "Adrenal left", "Spine", "Left lung", "adrenal right"), "LPS"
    )
    assert found.swap == ((1, 4), (2, 5))


def test_pairs_are_recognised_by_laterality_and_codes():
    kidney, organ = Code("64033007", "SCT", "Kidney"), Code("123037004", "SCT", "Organ")
    labels = LabelSet((
        Label(3, "Niere A", organ, kidney, laterality="left"),
        Label(5, "Niere B", organ, kidney, laterality="right"),
        Label(6, "Milz", organ, Code("78961009", "SCT", "Spleen")),
    ))  # fmt: skip
    assert mirroring(labels, "RAS").swap == ((3, 5),)


def test_laterality_weighs_more_than_a_name():
    labels = LabelSet((Label(1, "Right kidney", laterality="both"), Label(2, "Spleen")))
    found = mirroring(labels, "RAS")
    assert (found.swap, found.axes) == ((), (0, 1, 2))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("Left kidney", "Spleen"), "Left kidney has a side and no partner"),
        (("lung_upper_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right"),
         "lung_middle_lobe_right has a side and no partner"),
        (("Left kidney", "Right kidney", "kidney right"), "has a side and 2 partners"),
        (("Left ventricle", "Right ventricle"), "no mirror image"),
        (("Left atrium", "Right atrium"), "no mirror image"),
    ],
)  # fmt: skip
def test_sides_without_their_like_keep_the_axis_from_being_mirrored(names, words):
    found = mirroring(make_labels(*names), "SAR")
    assert (found.axes, found.swap) == ((0, 1), ())
    (finding,) = found.findings
    assert (finding.level, finding.code) == ("info", "mirror-axis-dropped")
    assert words in finding.words


@pytest.mark.parametrize(
    "names",
    [
        ("Vertebra L", "Vertebra T"),
        ("Vertebrae_L1", "Vertebrae_L2"),
        ("Left and right lung",),
        ("Bright spot",),
        ("T1R",),
    ],
)
def test_words_that_are_no_side_are_not_taken_for_one(names):
    found = mirroring(make_labels(*names), "RAS")
    assert (found.axes, found.swap, found.findings) == ((0, 1, 2), (), ())


@pytest.mark.parametrize(
    ("names", "axes"),
    [
        (("hippocampus_anterior", "hippocampus_posterior"), (0, 2)),
        (("Upper jaw", "Lower jaw"), (0, 1)),
        (("Ventral part", "Dorsal part", "Left ear", "Right ear"), (0, 2)),
    ],
)
def test_front_and_back_top_and_bottom_are_never_swapped(names, axes):
    found = mirroring(make_labels(*names), "RAS")
    assert found.axes == axes
    assert len(found.findings) == 1


def test_modifiers_tell_ends_apart_too():
    labels = LabelSet((
        Label(1, "Head", modifiers=(Code("255549009", "SCT", "Anterior"),)),
        Label(2, "Tail", modifiers=(Code("255551008", "SCT", "Posterior"),)),
    ))  # fmt: skip
    assert mirroring(labels, "RAS").axes == (0, 2)


def test_pairs_may_be_declared():
    labels = make_labels("Structure A", "Structure B", "Left ventricle", "Right ventricle")
    assert mirroring(labels, "RAS", pairs=((1, 2), (3, 4))).swap == ((1, 2), (3, 4))
    assert mirroring(labels, "RAS", pairs=((1, 2),)).axes == (1, 2)  # the heart is not declared


def test_none_mirrors_as_told_and_swaps_nothing():
    found = mirroring(make_labels("Left kidney", "Spleen"), "RAS", (0, 2), pairs="none")
    assert (found.axes, found.swap, found.findings) == ((0, 2), (), ())


@pytest.mark.parametrize(("pairs", "words"), [(((1, 9),), "9 is no label"),
                                              (((1, 2), (2, 1)), "stands in two pairs"),
                                              (((1, 1),), "stands in two pairs")])  # fmt: skip
def test_pairs_that_are_none_are_refused(pairs, words):
    with pytest.raises(PlanRefused, match=words) as refusal:
        mirroring(make_labels("A", "B"), "RAS", pairs=pairs)
    assert refusal.value.code == "pairs-invalid"


def test_an_axis_of_one_voxel_is_not_mirrored():
    found = mirroring(make_labels("Left eye", "Right eye"), "RAS", patch=(1, 64, 64))
    assert (found.axes, found.swap) == ((1, 2), ())


def test_nothing_is_swapped_or_told_of_an_axis_that_is_not_wished_for():
    found = mirroring(make_labels("Left eye", "Right eye", "Left ear"), "RAS", (1, 2))
    assert (found.axes, found.swap, found.findings) == ((1, 2), (), ())


@pytest.mark.parametrize(
    ("regions", "axes"),
    [
        ([("Left", (1,)), ("Right", (2,)), ("Both", (1, 2))], (0, 1, 2)),
        ([("Left one only", (1,)), ("Both", (1, 2))], (1, 2)),
    ],
)
def test_regions_must_become_regions(regions, axes):
    plain = make_labels("Left kidney", "Right kidney").labels
    labels = LabelSet((*plain, *(Label(n, name, region=values)
                                 for n, (name, values) in enumerate(regions, 3))))  # fmt: skip
    assert mirroring(labels, "RAS").axes == axes


def test_a_region_with_a_side_of_labels_without_one_is_not_mirrored():
    labels = LabelSet((Label(1, "1"), Label(2, "2"), Label(3, "Left kidney", region=(1,)),
                       Label(4, "Right kidney", region=(2,))))  # fmt: skip
    assert mirroring(labels, "RAS").axes == (1, 2)
    assert mirroring(labels, "RAS", pairs=((1, 2),)).axes == (0, 1, 2)


names = st.lists(st.sampled_from(
    ["Left lung", "Right lung", "eye_L", "eye_R", "Liver", "Left ear", "anterior", "posterior"]
), unique=True)  # fmt: skip


@given(names, st.permutations("RAS"), st.lists(st.booleans(), min_size=3, max_size=3))
def test_the_orientation_only_renames_the_axes(names, letters, turned):
    other = {"R": "L", "A": "P", "S": "I"}
    code = "".join(other[one] if turn else one for one, turn in zip(letters, turned, strict=True))
    straight, moved = mirroring(make_labels(*names), "RAS"), mirroring(make_labels(*names), code)
    assert moved.swap == straight.swap
    assert {letters[axis] for axis in moved.axes} == {"RAS"[axis] for axis in straight.axes}
    assert letters[side_axis(code)] == "R"


def test_a_plan_keeps_values_and_patches_swap_class_numbers():
    plan = Plan(spacing=(1, 1, 1), channels=(Channel(name="T1"),), patch=(8, 8, 8),
                network=Network(name="unet"), swap=((4, 9),),
                labels=LabelSet((Label(2, "A"), Label(4, "B"), Label(9, "C"))))  # fmt: skip
    assert class_pairs(plan) == ((2, 3),)
