"""From decisions to copies: only what was judged, only what was accepted, all or nothing."""

import json
import shutil

import pytest

from medseg.batch.outcome import Outcome
from medseg.errors import InputRefused, OutputFailed
from medseg.files import sha256
from medseg.review import apply
from medseg.review.decisions import load_decisions


@pytest.fixture
def results(make_results):
    """Four cases: one each to accept, to reject, to edit and to leave."""
    refused = Outcome("unread", "refused", code="no-images", why="There is no scan.")
    return make_results({"good": {"seg": True}, "bad": {}, "near": {}, "open": {}}, (refused,))


def decision(out, case, verdict="accept", reason="", mask=None):
    return {"case": case, "mask_sha256": mask or sha256(out / case / "mask.nii.gz"),
            "verdict": verdict, "reason": reason}  # fmt: skip


def save(path, *decisions, reader="AB"):
    path.write_text(json.dumps({"format": 1, "reader": reader, "decisions": decisions}))
    return path


@pytest.fixture
def decided(results, tmp_path):
    return save(tmp_path / "decisions.json", decision(results, "good"),
                decision(results, "bad", "reject", "Liver and spleen"),
                decision(results, "near", "edit", "Tip is missing"))  # fmt: skip


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_only_accepted_masks_are_copied_and_all_others_listed(results, decided, tmp_path):
    to = tmp_path / "new" / "accepted"
    applied = apply(results, decided, to)
    assert applied.exit_status == 0
    assert files_in(to) == ["good/mask.nii.gz", "good/seg.dcm", "worksheet.json"]
    for name in ("mask.nii.gz", "seg.dcm"):
        assert (to / "good" / name).read_bytes() == (results / "good" / name).read_bytes()
    record = json.loads((to / "worksheet.json").read_text())
    assert record == {
        "format": 1,
        "reader": "AB",
        "decisions_sha256": sha256(decided),
        "accepted": [{"case": "good", "files": {
            form: {"file": f"good/{name}", "sha256": sha256(results / "good" / name)}
            for form, name in (("nifti", "mask.nii.gz"), ("seg", "seg.dcm"))}}],
        "rejected": [{"case": "bad", "reason": "Liver and spleen"}],
        "needs_edit": [{"case": "near", "reason": "Tip is missing"}],
        "undecided": ["open"],
        "refused": [],
        "not_segmented": [{"case": "unread", "status": "refused", "code": "no-images",
                           "why": "There is no scan."}],
    }  # fmt: skip


@pytest.mark.parametrize("file", ["mask.nii.gz", "seg.dcm"])
def test_a_case_that_changed_since_is_refused_and_the_others_go_on(
    results, decided, tmp_path, file
):
    save(decided, decision(results, "good"), decision(results, "near"))
    (results / "good" / file).write_bytes(b"edited since")
    applied = apply(results, decided, tmp_path / "to")
    assert applied.exit_status == 6
    assert files_in(tmp_path / "to") == ["near/mask.nii.gz", "worksheet.json"]
    (refused,) = applied.of("refused")
    assert (refused.case, refused.code) == ("good", "mask-changed")


def test_a_decision_about_an_earlier_mask_of_the_case_is_refused(results, tmp_path):
    earlier = save(tmp_path / "d.json", decision(results, "good", mask="0" * 64),
                   decision(results, "bad", "reject", "No", mask="0" * 64))  # fmt: skip
    applied = apply(results, earlier, tmp_path / "to")
    assert applied.exit_status == 3
    assert [one.code for one in applied.of("refused")] == ["mask-changed"] * 2
    assert files_in(tmp_path / "to") == ["worksheet.json"]


def test_a_mask_that_changes_while_it_is_copied_is_refused(results, decided, tmp_path, monkeypatch):
    copy = shutil.copyfile

    def change_and_copy(source, to):
        source.write_bytes(b"edited just now")
        copy(source, to)

    monkeypatch.setattr("medseg.review.applying.shutil.copyfile", change_and_copy)
    applied = apply(results, decided, tmp_path / "to")
    assert [one.case for one in applied.of("refused")] == ["good"]
    assert files_in(tmp_path / "to") == ["worksheet.json"]


@pytest.mark.parametrize("name", ["stranger", "../good", "/etc", "unread"])
def test_a_case_that_is_not_there_is_refused(results, tmp_path, name):
    unknown = {**decision(results, "good"), "case": name}
    path = save(tmp_path / "d.json", unknown, decision(results, "near"))
    applied = apply(results, path, tmp_path / "to")
    assert applied.exit_status == 6
    assert [(one.case, one.code) for one in applied.of("refused")] == [(name, "case-unknown")]


GOOD = {"case": "a", "mask_sha256": "0" * 64, "verdict": "accept", "reason": ""}


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"format": 1, "decisions": [',
        "[]",
        "[" * 100_000,
        '{"format": 2, "reader": "", "decisions": []}',
        *(json.dumps({"format": 1, "reader": "", "decisions": decisions}) for decisions in (
            [{**GOOD, "mask_sha256": "0"}], [{**GOOD, "verdict": "maybe"}], [GOOD, GOOD],
            [{**GOOD, "verdict": "reject"}], [{**GOOD, "verdict": "edit", "reason": " "}],
            [{**GOOD, "more": 1}], [{**GOOD, "case": ""}], "none",
        )),
    ],
)  # fmt: skip
def test_a_damaged_decisions_file_is_refused(results, tmp_path, text):
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(InputRefused) as refusal:
        apply(results, tmp_path / "d.json", tmp_path / "to")
    assert refusal.value.code == "decisions-damaged"
    assert not (tmp_path / "to").exists()


def test_a_damaged_file_is_told_where_but_not_what_it_says(tmp_path):
    path = save(tmp_path / "d.json", {**GOOD, "verdict": "Doe^Jane"})
    with pytest.raises(InputRefused) as refusal:
        load_decisions(path)
    assert "decisions.0.verdict" in str(refusal.value)
    assert "Doe" not in str(refusal.value)


def test_a_decisions_file_that_is_not_there_is_refused(results, tmp_path):
    with pytest.raises(InputRefused) as refusal:
        apply(results, tmp_path / "none.json", tmp_path / "to")
    assert refusal.value.code == "decisions-missing"


def test_an_earlier_export_is_only_replaced_when_asked_and_then_whole(results, decided, tmp_path):
    to = tmp_path / "to"
    apply(results, decided, to)
    save(decided, decision(results, "near"))
    with pytest.raises(OutputFailed) as refusal:
        apply(results, decided, to)
    assert refusal.value.code == "output-exists"
    apply(results, decided, to, overwrite=True)
    assert files_in(to) == ["near/mask.nii.gz", "worksheet.json"]


@pytest.mark.parametrize("name", ["notes.txt", "good/mine.nii.gz", "good/mask.nii.gz"])
def test_a_folder_with_anything_else_in_it_is_never_replaced(results, decided, tmp_path, name):
    to = tmp_path / "to"
    apply(results, decided, to)
    (to / name).write_text("my own work")
    with pytest.raises(OutputFailed) as refusal:
        apply(results, decided, to, overwrite=True)
    assert refusal.value.code == "output-foreign"
    assert (to / name).read_text() == "my own work"


def test_an_empty_folder_is_taken(results, decided, tmp_path):
    (tmp_path / "to").mkdir()
    assert apply(results, decided, tmp_path / "to").exit_status == 0


@pytest.mark.faults
def test_a_full_disk_leaves_nothing_behind(results, decided, small_disk):
    blob = results / "good" / "seg.dcm"
    record = json.loads((results / "good" / "case.json").read_text())
    blob.write_bytes(b"\0" * 100_000)
    record["outputs"]["seg"]["sha256"] = sha256(blob)
    (results / "good" / "case.json").write_text(json.dumps(record))
    (results / "run.json").unlink()
    with pytest.raises(OutputFailed) as refusal:
        apply(results, decided, small_disk / "to")
    assert refusal.value.code == "write-failed"
    assert list(small_disk.iterdir()) == []
