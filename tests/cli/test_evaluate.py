"""``medseg evaluate``, ``compare`` and ``stats`` as a person or a script meets them."""

import json

import numpy as np
import pytest

from tests.evaluation.factory import SHAPE, cube, folders, save

LABELS = "- {value: 1, name: Liver}\n- {value: 2, name: Spleen}\n"


@pytest.fixture
def masks(tmp_path):
    return folders(tmp_path, {
        "good": (cube(shift=1), cube()), "other": (cube(), cube()), "lacking": (None, cube()),
    })  # fmt: skip


def test_the_table_has_a_row_a_label_and_the_reasons_stand_below(medseg, masks, tmp_path):
    (tmp_path / "LABELS.yaml").write_text(LABELS)
    status, out, _ = medseg("evaluate", *masks, "--out", tmp_path / "out", "--labels",
                            tmp_path / "LABELS.yaml", "--tolerance", "2", "--lesions")  # fmt: skip
    assert status == 6
    assert "Liver" in out
    assert "0.875" in out  # the mean of 0.75 and 1
    assert "lacking: There is a reference and no prediction" in out
    assert "2 of 3 cases" in out
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"cases.csv", "summary.json", "report.html", "lesions.csv"}


def test_json_is_the_summary(medseg, masks, tmp_path):
    status, out, _ = medseg("evaluate", *masks, "-o", tmp_path / "out", "--json",
                            "--missing-as-empty", "--empty", "infinite",
                            "--hd95", "medpy")  # fmt: skip
    told = json.loads(out)
    assert (status, told["status"], told["evaluated"]) == (0, 0, 3)
    assert told["definitions"]["HD95"].startswith("medpy")
    assert told["labels"][0]["outcomes"]["missed"] == 1
    assert told["labels"][0]["scores"]["hd95_mm"]["mean"] is None  # infinite


def test_a_refusal_is_one_line(medseg, masks, tmp_path):
    status, _, err = medseg("evaluate", masks[0], "-o", tmp_path / "out")
    assert (status, err.splitlines()[-1].endswith("[references-missing]")) == (3, True)
    medseg("evaluate", *masks, "-o", tmp_path / "out")
    status, _, err = medseg("evaluate", *masks, "-o", tmp_path / "out")
    assert (status, err.splitlines()[-1].endswith("[output-exists]")) == (5, True)
    status, _, _ = medseg("evaluate", *masks, "-o", tmp_path / "out", "--empty", "kind")
    assert status == 2


def test_models_are_compared_and_ranked(medseg, masks, tmp_path):
    predictions, references = masks
    status, out, _ = medseg("compare", references, predictions, references, "-o",
                            tmp_path / "out", "--name", "truth", "--name", "mine")  # fmt: skip
    assert status == 6
    assert "mine - truth" in out
    assert "Ranking by Dice, Label 1: 1 truth (1.000), 2 mine (0.583)" in out
    assert "mine has no prediction for 1 cases" in out
    status, _, err = medseg("compare", predictions, references, "-o", tmp_path / "again")
    assert (status, err.splitlines()[-1].endswith("[models-too-few]")) == (3, True)


def test_a_mask_is_measured_and_an_empty_label_is_told(medseg, tmp_path):
    (tmp_path / "LABELS.yaml").write_text(LABELS)
    mask = save(tmp_path / "m.nii.gz", cube())
    scan = save(tmp_path / "s.nii.gz", np.full(SHAPE, 40, np.float32))
    arguments = ("stats", mask, "--image", scan, "--labels", tmp_path / "LABELS.yaml")
    status, out, _ = medseg(*arguments)
    assert status == 0
    assert "0.128" in out
    assert "Spleen is empty: the mask has no voxel of it" in out
    told = json.loads(medseg(*arguments, "--json")[1])
    liver, spleen = told["labels"]
    assert liver["volume_ml"] == pytest.approx(0.128)
    assert liver["intensity"]["mean"] == 40
    assert (spleen["empty"], spleen["voxels"]) == (True, 0)
    assert "volume_ml" not in spleen


def test_classes_are_evaluated_and_options_of_masks_refused(medseg, tmp_path):
    (tmp_path / "p.csv").write_text("case,no,yes\na,0.9,0.1\nb,0.6,0.4\nc,0.3,0.7\nd,0.2,0.8\n")
    (tmp_path / "r.csv").write_text("case,label\na,no\nb,yes\nc,yes\nd,yes\ne,no\n")
    arguments = ("evaluate", "--task", "classify", tmp_path / "p.csv", tmp_path / "r.csv",
                 "-o", tmp_path / "out")  # fmt: skip
    status, out, _ = medseg(*arguments)
    assert status == 6
    assert "balanced accuracy  0.833" in out
    assert "e: There is a true class and no prediction" in out
    assert "4 of 5 cases" in out
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"cases.csv", "summary.json", "report.html"}
    told = json.loads(medseg(*arguments, "--overwrite", "--json")[1])
    assert told["confusion"] == [[1, 0], [1, 2]]
    status, _, err = medseg(*arguments, "--overwrite", "--lesions")
    assert (status, "--lesions says how masks are judged" in err) == (2, True)
    status, _, err = medseg("evaluate", "--task", "classify", tmp_path / "p.csv", "-o", "x")
    assert (status, "needs REFERENCES" in err) == (2, True)
