import pytest
from pydicom.sr.codedict import codes as dicom_codes

from medseg.dicom import codes
from medseg.errors import InputRefused
from medseg.labels import Code

# Not in the context groups, nor are the single ribs: from the table of TotalSegmentator
# (Apache-2.0) and its issue 612.
ELSEWHERE = {"portal and splenic vein", "gluteus maximus", "iliopsoas"}


@pytest.fixture(scope="module")
def public() -> set[str]:
    """Return the SNOMED CT values in pydicom's copy of the context groups of PS3.16."""
    keywords = dicom_codes.SCT.dir()
    return {getattr(dicom_codes.SCT, keyword).value for keyword in keywords}


def test_every_structure_has_a_code_of_the_standard(public):
    unknown = {name for name, code in codes.STRUCTURES.items() if code.value not in public}
    assert {name for name in unknown if not name.endswith(" rib")} == ELSEWHERE


@pytest.mark.parametrize(
    ("name", "keyword"),
    [
        ("kidney", "Kidney"),
        ("hippocampus", "Hippocampus"),
        ("oesophagus", "Esophagus"),
        ("L3 vertebra", "L3Vertebra"),
        ("neoplasm", "Neoplasm"),
        ("spinal cord", "SpinalCord"),
    ],
)
def test_a_name_means_what_the_standard_means(name, keyword):
    assert codes.structure(name).value == getattr(dicom_codes.SCT, keyword).value


def test_no_code_has_two_names():
    values = [code.value for code in codes.STRUCTURES.values()]
    assert len(set(values)) == len(values)


def test_categories_and_sides_are_those_of_the_standard():
    ours = {code.value for code in (*codes.CATEGORIES, *codes.SIDES.values())}
    groups = dicom_codes.cid7150, dicom_codes.cid244
    theirs = {getattr(group, word).value for group in groups for word in group.dir()}
    assert ours <= theirs


def test_names_are_found_in_any_case():
    assert codes.structure("SPLEEN") == Code("78961009", "SCT", "Spleen")
    assert codes.structure("l1 vertebra").meaning == "L1 vertebra"


def test_an_unknown_name_is_refused_with_near_ones():
    with pytest.raises(InputRefused, match="near: spleen") as refusal:
        codes.structure("spleeen")
    assert refusal.value.code == "structure-unknown"


def test_paired_organs_are_in_the_table_and_single_ones_are_not_paired():
    assert set(codes.STRUCTURES) > codes.PAIRED
    assert "kidney" in codes.PAIRED
    assert not codes.PAIRED & {"liver", "brain", "middle lobe of right lung"}


def test_growths_are_abnormal_structures_and_organs_are_not():
    assert codes.category_of(codes.structure("metastasis")) == codes.ABNORMAL_STRUCTURE
    assert codes.category_of(codes.structure("liver")) == codes.ANATOMICAL_STRUCTURE


def test_sides_are_recognised_in_new_and_retired_codes():
    assert codes.side_of(codes.LEFT) == "left"
    assert codes.side_of(Code("G-A100", "SRT", "Right")) == "right"
    assert codes.side_of(codes.ANTERIOR) is None


def test_a_private_code_fits_its_attribute_and_depends_on_the_name_alone():
    code = codes.private_code("Bean")
    assert code == codes.private_code("Bean") != codes.private_code("Pea")
    assert len(code.value) <= 16  # of the VR SH
