"""Plans as JSON: there and back, and refused with the field that is wrong."""

import pytest

from medseg.errors import PlanRefused
from medseg.labels import Label, LabelSet
from medseg.plan import Channel, Network, Plan, plan_from

PLAN = Plan(
    spacing=(1, 1, 1),
    channels=(Channel(name="T1", modality="MR"),),
    patch=(8, 8, 8),
    network=Network(name="unet"),
    labels=LabelSet((Label(1, "Lump"),)),
)


def test_a_plan_comes_back_from_json_with_its_hash():
    again = plan_from(PLAN.model_dump(mode="json"))
    assert again == PLAN
    assert again.hash == PLAN.hash


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spacing": [1, 1, 0]}, r"spacing\.2"),
        ({"patch": [8, 8]}, "patch"),
        ({"orientation": "RAR"}, "orientation"),
        ({"channels": []}, "channels"),
        ({"colour": "red"}, "colour"),
        ({"swap": [[1, 2]]}, "swap"),
    ],
)
def test_a_wrong_field_is_named(change, words):
    with pytest.raises(PlanRefused, match=words) as refusal:
        plan_from({**PLAN.model_dump(mode="json"), **change})
    assert refusal.value.code == "plan-invalid"


def test_a_plan_of_before_sides_were_swapped_reads_and_keeps_its_hash():
    old = PLAN.model_dump(mode="json")
    del old["swap"]
    assert plan_from(old).swap == ()
    assert plan_from(old).hash == PLAN.hash
