import numpy as np
import pytest

from medseg.errors import InputRefused, MedsegError
from medseg.evaluation.labelling import agreed, load_labels
from medseg.geometry import Geometry
from medseg.labels import Code, Label, LabelSet
from medseg.volume import LabelMap

LIVER, KIDNEY = Code("10200004", "SCT", "Liver"), Code("64033007", "SCT", "Kidney")


def make(values, *labels: Label) -> LabelMap:
    array = np.array(values, np.uint8).reshape(-1, 1, 1)
    named = labels or tuple(Label(v, f"Label {v}") for v in sorted(set(values)) if v)
    return LabelMap(array, Geometry(array.shape, np.eye(4)), LabelSet(named))


def test_structures_are_matched_by_name_whatever_their_numbers():
    reference = make([0, 1, 2], Label(1, "Liver"), Label(2, "Left kidney"))
    prediction = make([0, 7, 3], Label(7, "LIVER"), Label(3, "left  Kidney"))
    moved, kept, findings = agreed(prediction, reference)
    assert moved.array.ravel().tolist() == [0, 1, 2]
    assert kept is reference
    assert findings == ()


def test_codes_and_sides_match_where_names_do_not():
    reference = make([1, 2], Label(1, "Niere links", type=KIDNEY, laterality="left"),
                     Label(2, "Niere rechts", type=KIDNEY, laterality="right"))  # fmt: skip
    prediction = make([5, 6], Label(5, "R", type=KIDNEY, laterality="right"),
                      Label(6, "L", type=KIDNEY, laterality="left"))  # fmt: skip
    assert agreed(prediction, reference)[0].array.ravel().tolist() == [2, 1]


def test_a_structure_without_counterpart_is_refused_by_name():
    with pytest.raises(InputRefused, match="'Spleen' of the prediction is none of 'Liver'") as told:
        agreed(make([1], Label(1, "Spleen")), make([1], Label(1, "Liver", type=LIVER)))
    assert told.value.code == "labels-differ"


def test_a_label_file_leaves_out_what_it_does_not_list():
    wanted = LabelSet((Label(4, "Liver"),))
    prediction = make([1, 2], Label(1, "Liver"), Label(2, "Spleen"))
    moved, _, findings = agreed(prediction, make([4]), wanted)
    assert moved.array.ravel().tolist() == [4, 0]
    assert [finding.code for finding in findings] == ["labels-left-out"]


def test_numbers_are_matched_with_a_warning_where_one_side_has_no_names():
    prediction, reference, findings = agreed(
        make([0, 2]), make([2, 1], Label(1, "A"), Label(2, "B"))
    )
    assert prediction.labels == reference.labels
    assert [finding.code for finding in findings] == ["labels-by-number"]
    with pytest.raises(InputRefused, match="has the value 3"):
        agreed(make([3]), make([1], Label(1, "A")))


def test_labels_without_names_are_those_that_occur_on_either_side():
    prediction, _, findings = agreed(make([1, 3]), make([2, 1]))
    assert prediction.labels.values == (0, 1, 2, 3)
    assert findings == ()


def test_a_label_file_has_regions_and_codes(tmp_path):
    path = tmp_path / "LABELS.yaml"
    path.write_text(
        "- {value: 1, name: Core, category: {value: '49755003', scheme: SCT, meaning: Abnormal}}\n"
        "- {value: 2, name: Oedema, colour: [0, 114, 178], laterality: left}\n"
        "- {value: 9, name: Whole, region: [1, 2]}\n"
    )
    labels = load_labels(path)
    assert [label.name for label in labels.plain] == ["Core", "Oedema"]
    assert labels[9].region == (1, 2)


@pytest.mark.parametrize(
    "text",
    [
        "- {value: 1}",
        "- {value: 0, name: A}",
        "- {value: 1, name: A}\n- {value: 2, name: B, region: [7]}",
    ],
)
def test_a_label_file_that_cannot_be_meant_is_refused(tmp_path, text):
    path = tmp_path / "LABELS.yaml"
    path.write_text(text)
    with pytest.raises(MedsegError, match=r"LABELS\.yaml"):
        load_labels(path)
