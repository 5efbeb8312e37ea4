"""Plans as JSON: there and back, and refused with the field that is wrong."""

import hashlib
import json

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


def test_outputs_count_in_the_hash_only_where_they_are_not_classes():
    # packages from before there were regions keep the hash that their records hold
    assert "outputs" in PLAN.model_dump(mode="json")
    younger = ("outputs", "swap")
    old = {key: value for key, value in PLAN.model_dump(mode="json").items() if key not in younger}
    canonical = json.dumps(old, sort_keys=True).encode()
    assert PLAN.hash == plan_from(old).hash == hashlib.sha256(canonical).hexdigest()
    regions = LabelSet((Label(1, "Lump"), Label(2, "All of it", region=(1,))))
    classes = PLAN.model_copy(update={"labels": regions})
    by_region = PLAN.model_copy(update={"labels": regions, "outputs": "regions"})
    assert classes.hash != by_region.hash
    assert (classes.output_channels, by_region.output_channels) == (2, 1)


def test_regions_that_cannot_be_painted_are_refused():
    with pytest.raises(PlanRefused, match="not shared: 1"):
        plan_from({**PLAN.model_dump(mode="json"), "outputs": "regions"})


def test_a_plan_of_before_sides_were_swapped_reads_and_keeps_its_hash():
    old = PLAN.model_dump(mode="json")
    del old["swap"]
    assert plan_from(old).swap == ()
    assert plan_from(old).hash == PLAN.hash
