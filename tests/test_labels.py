"""Label sets: ordered, and refused where a value or a name is ambiguous."""

import pytest

from medseg.errors import InputRefused
from medseg.labels import Label, LabelSet


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ((Label(0, "Air"),), "must be above 0"),
        ((Label(-1, "Air"),), "must be above 0"),
        ((Label(1, "Liver"), Label(1, "Spleen")), "comes twice"),
        ((Label(1, "Liver"), Label(2, "Liver")), "comes twice"),
    ],
)
def test_a_value_or_name_that_is_ambiguous_is_refused(labels, words):
    with pytest.raises(InputRefused, match=words) as refusal:
        LabelSet(labels)
    assert refusal.value.code == "labels-invalid"


def test_regions_are_no_classes():
    labels = LabelSet((Label(3, "Whole", region=(1, 2)), Label(2, "Rim"), Label(1, "Core")))
    assert [label.name for label in labels.plain] == ["Core", "Rim"]
    assert (labels.classes, labels.values) == (3, (0, 1, 2))


def region(value, *values):
    return Label(value, f"Region {value}", region=values)


PLAIN = (Label(1, "Oedema"), Label(2, "Core"), Label(4, "Enhancing"))


def test_regions_are_painted_from_the_largest_to_the_smallest():
    labels = LabelSet((*PLAIN, region(5, 4), region(6, 2, 4), region(7, 1, 2, 4)))
    assert [label.value for label in labels.regions] == [7, 6, 5]
    assert labels.painted() == (1, 2, 4)
    apart = LabelSet((*PLAIN, region(5, 4), region(6, 2), region(7, 1)))
    assert [label.value for label in apart.regions] == [5, 6, 7]  # equal ones by value
    assert apart.painted() == (4, 2, 1)


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        ([region(5, 1, 2, 4)], "Region 5 has the values 1, 2, 4 for itself"),
        ([region(5, 1, 2), region(6, 2, 4)], "Region 6 has the values 2, 4 for itself"),
        ([region(5, 1), region(6, 1)], "Region 5 has no value that later ones lack"),
        ([region(5, 1), region(6, 2)], "these are not shared: 4"),
        ([region(5, 1), region(6, 2), region(7, 4), region(8, 9)], "these are not shared: 9"),
        ([], "these are not shared: 1, 2, 4"),
    ],
)
def test_regions_that_no_mask_can_be_painted_from_are_refused(regions, words):
    with pytest.raises(InputRefused, match=words) as refusal:
        LabelSet((*PLAIN, *regions)).painted()
    assert refusal.value.code == "regions-invalid"
