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
