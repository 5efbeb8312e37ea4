"""What is taken from a folder of results, and what is not."""

import json

import pytest

from medseg.batch.outcome import Outcome
from medseg.errors import InputRefused
from medseg.review.results import results_of


def test_every_whole_case_and_every_other_with_its_reason(make_results):
    refused = Outcome("c", "refused", code="slices-missing", why="3 slices are missing.")
    results = results_of(make_results({"a": {}, "b": {"seg": True}}, (refused,)))
    assert [case.name for case in results.cases] == ["a", "b"]
    assert [(one.case, one.status, one.why) for one in results.missing] == [
        ("c", "refused", "3 slices are missing.")
    ]
    assert not results.damaged


def test_cases_of_earlier_runs_into_the_folder_count_too(make_results):
    out = make_results({"a": {}, "b": {}})
    run = json.loads((out / "run.json").read_text())
    run["cases"] = run["cases"][:1]  # as a later run over one scan writes it
    (out / "run.json").write_text(json.dumps(run))
    assert [case.name for case in results_of(out).cases] == ["a", "b"]
    (out / "run.json").unlink()  # a run that was killed
    assert len(results_of(out).cases) == 2


def changed(path):
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def edited(path):
    record = json.loads(path.read_text())
    record["outputs"]["nifti"]["sha256"] = "0" * 64
    path.write_text(json.dumps(record))


def renamed(path):
    record = json.loads(path.read_text())
    record["outputs"]["nifti"]["file"] = "../a/mask.nii.gz"
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("file", "how", "why"),
    [
        ("mask.nii.gz", changed, "mask.nii.gz was changed after the run"),
        ("sheet.png", changed, "sheet.png was changed"),
        ("mask.nii.gz", lambda path: path.unlink(), "mask.nii.gz is missing"),
        ("case.json", lambda path: path.write_text("{"), "cannot be understood"),
        ("case.json", edited, "tell of different files"),
        ("case.json", renamed, "tell of different files"),
        ("case.json", lambda path: path.unlink(), "gone or not whole"),
    ],
)
def test_a_case_that_is_not_what_was_written_is_not_judged(make_results, file, how, why):
    out = make_results({"a": {}, "b": {}})
    how(out / "b" / file)
    results = results_of(out)
    assert [case.name for case in results.cases] == ["a"]
    assert [one.case for one in results.missing] == ["b"]
    assert why in results.missing[0].why
    assert results.damaged == 1


def test_a_record_cannot_name_files_elsewhere(make_results):
    out = make_results({"a": {}, "b": {}})
    (out / "run.json").unlink()
    renamed(out / "b" / "case.json")
    (missing,) = results_of(out).missing
    assert "does not write" in missing.why


def test_a_folder_without_results_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputRefused) as refusal:
            results_of(folder)
        assert refusal.value.code == "no-results"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2, "cases": []}', "[" * 100_000])
def test_a_damaged_run_record_is_refused(make_results, text):
    out = make_results({"a": {}})
    (out / "run.json").write_text(text)
    with pytest.raises(InputRefused) as refusal:
        results_of(out)
    assert refusal.value.code == "record-damaged"
