import numpy as np
import pytest

from medseg.errors import InputRefused
from medseg.geometry import Geometry
from medseg.reading import Series, parse_rule, select


def one(
    case="a-001", modality="CT", number=1, description="Chest thin", thickness=3.0, affine=None
):
    geometry = Geometry((4, 5, 6), np.diag([-1, -1, 3, 1]) if affine is None else affine)
    return Series(
        case, "dicom", modality, number, description, (), 6, geometry, thickness=thickness
    )


SAGITTAL = [[0, 0, 2, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ("modality=ct", True),
        ("modality=MR", False),
        ("description=*CHEST*", True),
        ("description=chest", False),
        ("orientation=axial", True),
        ("orientation=coronal", False),
        ("number=1", True),
        ("number=2", False),
        ("thickness=3", True),
        ("thickness<=2.5", False),
        ("thickness>=2.5", True),
        ("case=a-*", True),
        ("modality=CT, number=1", True),
        ("modality=CT,number=2", False),
    ],
)
def test_every_condition_of_a_rule_must_hold(rule, met):
    assert bool(select([one()], rule)) == met


def test_order_is_kept_and_orientation_follows_the_slices():
    series = [one("b"), one("a", affine=SAGITTAL), one("c")]
    assert [found.case for found in select(series, "orientation=axial")] == ["b", "c"]
    assert [found.case for found in select(series, "orientation=sagittal")] == ["a"]


def test_what_is_unknown_meets_no_condition():
    unknown = Series("x", "dicom", "CT", None, "", (), 0, None)
    for rule in ("orientation=axial", "thickness<=3", "number=1"):
        assert not select([unknown], rule)


@pytest.mark.parametrize(
    "rule",
    ["", "modality", "size=3", "number=x", "thickness<=thin", "modality<=CT", "orientation=up"],
)
def test_a_bad_rule_is_refused_with_the_keys(rule):
    with pytest.raises(InputRefused) as refusal:
        parse_rule(rule)
    assert refusal.value.code == "rule-invalid"
    assert "modality, description, orientation, number, thickness, case" in refusal.value.do
