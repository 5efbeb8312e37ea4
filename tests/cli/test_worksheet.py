"""``medseg worksheet`` as a person or a script meets it."""

import json

import pytest

from medseg.batch.outcome import Outcome
from tests.review.conftest import make_results  # noqa: F401 - a fixture


@pytest.fixture
def results(make_results):  # noqa: F811
    refused = Outcome("unread", "refused", code="no-images", why="There is no scan.")
    return make_results({"a": {}, "b": {"liver": slice(0)}}, (refused,))


@pytest.fixture
def decisions(results, tmp_path):
    record = json.loads((results / "a" / "case.json").read_text())
    accepted = {"case": "a", "mask_sha256": record["outputs"]["nifti"]["sha256"],
                "verdict": "accept", "reason": ""}  # fmt: skip
    path = tmp_path / "decisions.json"
    path.write_text(json.dumps({"format": 1, "reader": "AB", "decisions": [accepted]}))
    return path


def test_the_page_is_written_and_what_stands_out_is_told(medseg, results):
    status, out, _ = medseg("worksheet", results)
    assert status == 0
    assert "b: The mask is empty" in out
    assert "unread: refused: There is no scan." in out
    assert "2 cases, 1 of them doubtful" in out
    assert (results / "worksheet.html").exists()


def test_results_that_changed_end_with_6(medseg, results):
    (results / "a" / "mask.nii.gz").write_bytes(b"edited")
    status, out, _ = medseg("worksheet", results, "--json")
    told = json.loads(out)
    assert status == told["status"] == 6
    assert [case["case"] for case in told["cases"]] == ["b"]
    assert "a" in [one["case"] for one in told["missing"]]


def test_what_was_accepted_is_copied_and_the_rest_told(medseg, results, decisions, tmp_path):
    status, out, _ = medseg("worksheet", results, "--apply", decisions, "--to", tmp_path / "to")
    assert status == 0
    assert "b: undecided" in out
    assert "1 accepted, 1 undecided" in out
    status, out, _ = medseg("worksheet", results, "--apply", decisions, "--to", tmp_path / "to",
                            "--overwrite", "--json")  # fmt: skip
    assert status == json.loads(out)["status"] == 0
    assert (tmp_path / "to" / "a" / "mask.nii.gz").exists()


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--apply", "decisions.json"], 2, "go together"),
        (["--to", "somewhere"], 2, "go together"),
        (["--apply", "a", "--to", "b", "--show-phi"], 2, "--show-phi is for the page"),
        (["--apply", "none.json", "--to", "b"], 3, "[decisions-missing]"),
    ],
)
def test_what_cannot_be_is_refused_with_its_status(medseg, results, options, status, words):
    got, out, err = medseg("worksheet", results, *options)
    assert got == status
    assert words in err
    assert not out


def test_a_folder_without_results_is_one_line_and_status_3(medseg, tmp_path):
    status, _, err = medseg("worksheet", tmp_path)
    assert status == 3
    assert err == (
        "Error: There are no results of medseg segment here. "
        "Give the folder that medseg segment wrote to. [no-results]\n"
    )
