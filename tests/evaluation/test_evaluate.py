import json
import math
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from medseg.errors import InputRefused, OutputFailed
from medseg.evaluation import Options, evaluate
from medseg.exporting import seg
from medseg.labels import Label, LabelSet
from medseg.metrics import LesionRule
from medseg.volume import LabelMap, Source
from tests.evaluation.factory import SHAPE, cube, folders, rows_of, save

NOTHING = np.zeros(SHAPE, np.uint8)
DIAGONAL = math.sqrt(12**2 + 12**2 + 24**2)
FIRST = ("case,label,name,dice,iou,sensitivity,precision,specificity,volume_ml,reference_ml,"
         "hd_mm,hd95_mm,assd_mm,nsd_1mm")  # fmt: skip


def codes(result) -> dict[str, str]:
    return {case.case: case.refusal.code for case in result.failed}


def test_scores_by_hand_stand_in_the_table(tmp_path):
    # a cube of 4 x 4 x 4 moved by one voxel of 1 mm: 48 of 64 shared
    predictions, references = folders(tmp_path, {"a": (cube(shift=1), cube())})
    result = evaluate(predictions, references, out=tmp_path / "out")
    assert result.exit_status == 0
    header = (tmp_path / "out" / "cases.csv").read_text().splitlines()[0]
    assert header.startswith(FIRST)
    (row,) = rows_of(tmp_path / "out" / "cases.csv")
    assert (row["case"], row["label"], row["name"], row["outcome"]) == (
        "a",
        "1",
        "Label 1",
        "scored",
    )
    assert float(row["dice"]) == 0.75
    assert float(row["iou"]) == pytest.approx(48 / 80, abs=1e-6)
    assert float(row["volume_ml"]) == float(row["reference_ml"]) == 0.128
    assert float(row["hd_mm"]) == 1
    assert float(row["nsd_1mm"]) == 1
    assert float(row["centre_mm"]) == 1


def test_what_cannot_be_judged_is_a_row_with_its_reason_and_stops_nothing(tmp_path):
    predictions, references = folders(tmp_path, {
        "extra": (cube(), None), "fractions": (None, cube()), "good": (cube(), cube()),
        "grid": (None, cube()), "lacking": (None, cube()), "torn": (cube(), cube()),
        "moved": (None, cube()),
    })  # fmt: skip
    save(predictions / "grid.nii.gz", cube()[:-1])
    save(predictions / "moved.nii.gz", cube(), origin=(0.5, 0, 0))
    save(predictions / "fractions.nii.gz", cube() / np.float32(2))
    whole = (references / "torn.nii.gz").read_bytes()
    (references / "torn.nii.gz").write_bytes(whole[: len(whole) // 2])
    result = evaluate(predictions, references, out=tmp_path / "out")
    assert result.exit_status == 6
    assert codes(result) == {
        "extra": "reference-missing", "fractions": "labels-not-whole", "grid": "grids-differ",
        "lacking": "prediction-missing", "moved": "grids-differ", "torn": "nifti-damaged",
    }  # fmt: skip
    rows = {row["case"]: row for row in rows_of(tmp_path / "out" / "cases.csv")}
    assert len(rows) == 7
    assert rows["moved"]["outcome"] == "not evaluated"
    assert "0.500 mm apart" in rows["moved"]["reason"]
    assert rows["moved"]["dice"] == ""
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (told["cases"], told["evaluated"], told["status"]) == (7, 1, 6)
    assert told["labels"][0]["scores"]["dice"]["cases"] == 1
    assert "Not evaluated: 6 of 7 cases" in (tmp_path / "out" / "report.html").read_text()


def test_one_corrupt_file_among_many_good_ones_costs_one_row(tmp_path):
    cases = {f"c{n:03d}": (cube(), cube()) for n in range(30)}
    predictions, references = folders(tmp_path, cases)
    (predictions / "c017.nii.gz").write_bytes(b"no picture")
    result = evaluate(predictions, references)
    assert (len(result.done), result.exit_status) == (29, 6)
    assert list(codes(result)) == ["c017"]


def test_the_only_case_raises_its_reason_and_nothing_is_written(tmp_path):
    predictions, references = folders(tmp_path, {"a": (cube()[:-1], cube())})
    with pytest.raises(InputRefused) as refusal:
        evaluate(predictions, references, out=tmp_path / "out")
    assert refusal.value.code == "grids-differ"
    assert not (tmp_path / "out").exists()


def test_a_prediction_on_another_grid_is_resampled_when_asked_and_said_so(tmp_path):
    predictions, references = folders(tmp_path, {"a": (None, cube())})
    fine = cube().repeat(2, axis=2)  # voxels of 1 mm along k: edges meet edges
    save(predictions / "a.nii.gz", fine, (1, 1, 1), origin=(0, 0, -0.5))
    result = evaluate(predictions, references, options=Options(resample=True))
    (case,) = result.done
    assert case.row(1).scores["dice"] == 1
    assert [finding.code for finding in case.findings] == ["resampled"]


def test_the_order_and_direction_of_axes_do_not_matter(tmp_path):
    predictions, references = folders(tmp_path, {"a": (None, cube())})
    turned = cube().transpose(2, 0, 1)[::-1]
    affine = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [-2, 0, 0, 22], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image(turned, affine), predictions / "a.nii.gz")
    (case,) = evaluate(predictions, references).done
    assert case.row(1).scores["dice"] == 1


def test_a_missed_label_and_a_false_alarm_are_the_worst_and_both_empty_is_not_counted(tmp_path):
    predictions, references = folders(tmp_path, {
        "alarm": (cube(), NOTHING), "empty": (NOTHING, NOTHING), "hit": (cube(), cube()),
        "miss": (NOTHING, cube()),
    })  # fmt: skip
    result = evaluate(predictions, references, out=tmp_path / "out")
    (label,) = result.summaries()
    assert label.outcomes == {"scored": 1, "both-empty": 1, "missed": 1, "false-alarm": 1}
    dice = label.scores["dice"]
    assert (dice.cases, dice.mean) == (3, pytest.approx(1 / 3))
    assert label.present["dice"].cases == 2
    rows = {row["case"]: row for row in rows_of(tmp_path / "out" / "cases.csv")}
    assert rows["empty"]["dice"] == rows["empty"]["hd95_mm"] == ""
    assert float(rows["miss"]["hd95_mm"]) == pytest.approx(DIAGONAL, rel=1e-4)
    assert float(rows["alarm"]["nsd_1mm"]) == 0
    assert result.exit_status == 0


@pytest.mark.parametrize(
    ("policy", "cases", "mean"),
    [("medseg", 3, 1 / 3), ("perfect", 4, 0.5), ("ignored", 1, 1.0), ("infinite", 3, 1 / 3)],
)
def test_the_policy_of_empty_masks_is_chosen_and_printed(tmp_path, policy, cases, mean):
    predictions, references = folders(tmp_path, {
        "alarm": (cube(), NOTHING), "empty": (NOTHING, NOTHING), "hit": (cube(), cube()),
        "miss": (NOTHING, cube()),
    })  # fmt: skip
    result = evaluate(predictions, references, out=tmp_path, options=Options(empty=policy))
    dice = result.summaries()[0].scores["dice"]
    assert (dice.cases, dice.mean) == (cases, pytest.approx(mean))
    assert f"policy &#39;{policy}&#39;" in (tmp_path / "report.html").read_text()


def test_a_label_that_some_cases_lack_is_both_empty_there(tmp_path):
    predictions, references = folders(tmp_path, {
        "one": (cube(), cube()), "two": (cube() + cube(7, 3, 2), cube() + cube(7, 3, 2)),
    })  # fmt: skip
    result = evaluate(predictions, references)
    first, second = result.summaries()
    assert first.outcomes["scored"] == 2
    assert (second.outcomes["scored"], second.outcomes["both-empty"]) == (1, 1)
    assert second.scores["dice"].cases == 1


def test_a_label_absent_everywhere_says_so_and_has_no_mean(tmp_path):
    predictions, references = folders(tmp_path, {"a": (cube(), cube())})
    labels = LabelSet((Label(1, "Liver"), Label(2, "Spleen")))
    result = evaluate(predictions, references, out=tmp_path, options=Options(labels=labels))
    spleen = result.summaries()[1]
    assert (spleen.name, spleen.outcomes["both-empty"], spleen.scores["dice"].cases) == (
        "Spleen", 1, 0,
    )  # fmt: skip
    told = json.loads((tmp_path / "summary.json").read_text())
    assert told["labels"][1]["scores"]["dice"]["mean"] is None


def test_another_label_set_is_refused_by_value(tmp_path):
    predictions, references = folders(tmp_path, {
        "a": (cube(value=3), cube()), "b": (cube(), cube()),
    })  # fmt: skip
    options = Options(labels=LabelSet((Label(1, "Liver"),)))
    assert codes(evaluate(predictions, references, options=options)) == {"a": "labels-unknown"}


def test_a_region_is_scored_as_the_union_of_its_labels(tmp_path):
    truth = cube(2, 4, 1)
    truth[4:6, 2:6, 2:6] = 2
    predictions, references = folders(tmp_path, {"a": (cube(2, 4, 2), truth)})
    labels = LabelSet((Label(1, "Core"), Label(2, "Rim"), Label(9, "Whole", region=(1, 2))))
    (case,) = evaluate(predictions, references, options=Options(labels=labels)).done
    assert case.row(9).scores["dice"] == 1
    assert case.row(1).outcome == "missed"


def test_one_slice_and_pictures_of_two_axes_are_judged(tmp_path):
    flat = cube()[:, :, 3]
    for name, mask in (("predictions", np.roll(flat, 1, axis=0)), ("references", flat)):
        save(tmp_path / name / "picture.nii.gz", mask)
        save(tmp_path / name / "slice.nii.gz", mask[..., None])
        thin = np.zeros(SHAPE, np.uint8)
        thin[:, :, 5] = mask
        save(tmp_path / name / "thin.nii.gz", thin)
    result = evaluate(tmp_path / "predictions", tmp_path / "references")
    assert result.exit_status == 0
    for case in result.done:
        assert case.row(1).scores["dice"] == 0.75
        assert case.row(1).scores["hd_mm"] == 1


def test_one_millimetre_is_always_among_the_tolerances(tmp_path):
    predictions, references = folders(tmp_path, {"a": (cube(shift=3), cube())})
    (case,) = evaluate(predictions, references, options=Options(tolerances_mm=(3, 0.5))).done
    scores = case.row(1).scores
    assert scores["nsd_0.5mm"] < scores["nsd_1mm"] < scores["nsd_3mm"] == 1


def test_groups_of_a_table_have_counts(tmp_path):
    predictions, references = folders(tmp_path, {
        "a": (cube(), cube()), "b": (cube(shift=1), cube()), "c": (cube(), cube()),
    })  # fmt: skip
    (tmp_path / "meta.csv").write_text("case,Scanner,patient\na,GE,p1\nb,Siemens,p2\nc,GE,p1\n")
    result = evaluate(predictions, references, out=tmp_path / "out", by="scanner",
                      table=tmp_path / "meta.csv")  # fmt: skip
    assert result.groups == ("GE", "Siemens")
    assert result.summaries("GE")[0].scores["dice"].mean == 1
    assert result.summaries("GE")[0].scores["dice"].patients == 1
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [(one["group"], one["cases"]) for one in told["groups"]] == [("GE", 2), ("Siemens", 1)]
    assert rows_of(tmp_path / "out" / "cases.csv")[1]["group"] == "Siemens"
    with pytest.raises(InputRefused) as refusal:
        evaluate(predictions, references, by="age", table=tmp_path / "meta.csv")
    assert refusal.value.code == "group-unknown"


def test_cases_are_grouped_by_spacing_without_a_table(tmp_path):
    predictions, references = folders(tmp_path, {"a": (cube(), cube())})
    for folder in (predictions, references):
        save(folder / "thick.nii.gz", cube(), (1, 1, 5))
    assert evaluate(predictions, references, by="spacing").groups == ("2", "5")


def test_lesions_are_matched_one_by_one(tmp_path):
    truth = cube(1, 2) + cube(5, 2)
    found = cube(1, 2) + cube(9, 2)
    predictions, references = folders(tmp_path, {"a": (found, truth)})
    result = evaluate(predictions, references, out=tmp_path,
                      options=Options(lesions=LesionRule()))  # fmt: skip
    (case,) = result.done
    scores = case.row(1).scores
    assert (scores["lesion_sensitivity"], scores["lesion_false_positives"]) == (0.5, 1)
    assert scores["lesion_f1"] == 0.5
    lesions = rows_of(tmp_path / "lesions.csv")
    assert [row["matched"] for row in lesions] == ["1", "0"]
    assert lesions[0]["box"] == "1-2 1-2 1-2"


def test_probabilities_beside_a_prediction_are_calibrated(tmp_path):
    for name in ("p", "r"):
        save(tmp_path / name / "a" / "mask.nii.gz", cube())
    sure = np.stack([1 - cube() * 0.8 - 0.1, cube() * 0.8 + 0.1], axis=-1).astype(np.float32)
    save(tmp_path / "p" / "a" / "probabilities.nii.gz", sure)
    options = Options(lesions=LesionRule())
    result = evaluate(tmp_path / "p", tmp_path / "r", out=tmp_path, options=options)
    (case,) = result.done
    assert case.calibration.ece == pytest.approx(0.1, abs=1e-4)  # 0.9 sure and always right
    assert case.row(1).lesions.scores.tolist() == pytest.approx([0.9])
    page = (tmp_path / "report.html").read_text()
    assert "expected calibration error 0.100" in page
    assert "FROC of Label 1" in page


def test_probabilities_of_another_model_are_left_out_with_a_finding(tmp_path):
    for name in ("p", "r"):
        save(tmp_path / name / "a" / "mask.nii.gz", cube())
    save(tmp_path / "p" / "a" / "probabilities.nii.gz", np.zeros((*SHAPE, 3), np.float32))
    (case,) = evaluate(tmp_path / "p", tmp_path / "r").done
    assert case.calibration is None
    assert [finding.code for finding in case.findings] == ["classes-differ"]


def test_a_missing_prediction_may_count_as_empty(tmp_path):
    predictions, references = folders(tmp_path, {"a": (cube(), cube()), "b": (None, cube())})
    result = evaluate(predictions, references, options=Options(missing_as_empty=True))
    assert result.exit_status == 0
    assert result.summaries()[0].outcomes["missed"] == 1
    assert [finding.code for finding in result.done[1].findings] == ["prediction-missing"]


@pytest.fixture
def dicom(tmp_path, make_study, make_grid):
    """A scan and two masks of it, which reach over different slices, as SEG and as NIfTI."""
    volume = make_study(tmp_path / "images" / "a", make_grid((7, 6, 5)))
    kidney = LabelSet((Label(3, "Left kidney"),))
    masks = {}
    for name, slices in (("predictions", slice(1, 4)), ("references", slice(2, 5))):
        array = np.zeros((7, 6, 5), np.uint8)
        array[2:5, 2:5, slices] = 3
        masks[name] = LabelMap(array, volume.geometry, kidney)
        (tmp_path / name).mkdir()
        seg.write(masks[name], tmp_path / name / "a.dcm", volume)
    return tmp_path, masks


@pytest.mark.parametrize("images", [True, False])
def test_two_dicom_segmentations_are_compared_slice_for_slice(dicom, images):
    root, _ = dicom
    scans = root / "images" if images else None
    (case,) = evaluate(root / "predictions", root / "references", images=scans).done
    assert case.rows[0].name == "Left kidney"
    assert case.rows[0].scores["dice"] == pytest.approx(2 / 3)
    assert case.shape == ((7, 6, 5) if images else (7, 6, 4))


@pytest.mark.parametrize("side", ["predictions", "references"])
def test_a_segmentation_is_compared_with_a_nifti_of_the_scan(dicom, side):
    from medseg.exporting.nifti import write

    root, masks = dicom
    (root / side / "a.dcm").unlink()
    write(replace(masks[side], array=masks[side].array // 3), root / side / "a.nii.gz")
    (case,) = evaluate(root / "predictions", root / "references", images=root / "images").done
    assert case.rows[0].scores["dice"] == pytest.approx(2 / 3)
    assert "labels-by-number" in [finding.code for finding in case.findings]


def test_a_dicom_attribute_groups_and_no_identifier_does(dicom):
    root, _ = dicom
    images = root / "images"
    result = evaluate(root / "predictions", root / "references", images=images, by="PatientSex")
    assert result.groups == ("F",)
    for name in ("PatientName", "PatientID", "StudyDate"):
        with pytest.raises(InputRefused) as refusal:
            evaluate(root / "predictions", root / "references", images=images, by=name)
        assert refusal.value.code == "group-unknown"


def test_a_sheared_grid_has_true_volumes_and_says_what_distances_are(tmp_path):
    affine = np.array([[1, 0, 1.0, 0], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    for name in ("predictions", "references"):
        (tmp_path / name).mkdir()
        nibabel.save(nibabel.Nifti1Image(cube(), affine), tmp_path / name / "a.nii.gz")
    (case,) = evaluate(tmp_path / "predictions", tmp_path / "references").done
    assert case.row(1).scores["volume_ml"] == pytest.approx(0.128)
    assert [finding.code for finding in case.findings] == ["sheared"]


def test_earlier_results_are_kept_unless_told(tmp_path):
    predictions, references = folders(tmp_path, {"a": (cube(), cube())})
    evaluate(predictions, references, out=tmp_path / "out")
    with pytest.raises(OutputFailed) as refusal:
        evaluate(predictions, references, out=tmp_path / "out")
    assert refusal.value.code == "output-exists"
    evaluate(predictions, references, out=tmp_path / "out", overwrite=True)


def test_the_same_input_gives_the_same_files(tmp_path):
    predictions, references = folders(tmp_path, {
        f"c{n}": (cube(shift=n % 3), cube()) for n in range(5)
    })  # fmt: skip
    files = []
    for name in ("one", "two"):
        evaluate(predictions, references, out=tmp_path / name)
        files.append([(tmp_path / name / file).read_bytes() for file in
                      ("cases.csv", "report.html")])  # fmt: skip
    assert files[0] == files[1]


def test_options_that_cannot_be_meant_are_refused():
    for wrong in ({"tolerances_mm": (-1.0,)}, {"empty": "kind"}):
        with pytest.raises(InputRefused):
            Options(**wrong)


def test_names_and_cases_are_escaped_in_the_page(tmp_path):
    predictions, references = folders(tmp_path, {"a<b>": (cube(), cube())})
    labels = LabelSet((Label(1, "<script>alert(1)</script> $x$"),))
    evaluate(predictions, references, out=tmp_path, options=Options(labels=labels))
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "a&lt;b&gt;" in page


def test_the_scan_is_drawn_under_the_masks_when_there_is_one(tmp_path):
    predictions, references = folders(tmp_path, {"a": (cube(), cube()), "b": (cube(), cube())})
    save(tmp_path / "images" / "a.nii.gz", np.arange(12**3, dtype=np.float32).reshape(SHAPE))
    evaluate(predictions, references, out=tmp_path, images=tmp_path / "images")
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert page.count("(no scan was given)") == 2  # in the caption and the alternative text of b
    assert Source("a").case in page


@pytest.mark.parametrize("labels", [None, LabelSet((Label(1, "Lump"),))])
def test_what_nobody_labelled_does_not_count(tmp_path, labels):
    # half of a cube found too much lies where the reference says that nobody looked
    reference, predicted = cube(), cube()
    reference[7:] = 9
    predicted[7:9] = 1
    folder = folders(tmp_path, {"a": (predicted, reference), "b": (None, reference)})
    result = evaluate(*folder, options=Options(labels=labels, ignore=9, missing_as_empty=True))
    scores = {case.case: case.row(1).scores["dice"] for case in result.cases}
    assert scores == {"a": 1, "b": 0}
    assert [row.label for row in result.cases[0].rows] == [1]
    without = evaluate(*folder, options=Options(labels=None))
    assert without.cases[0].row(1).scores["dice"] < 1
