"""``medseg scan`` and ``medseg convert`` as a person or a script meets them."""

import json
import os
import subprocess
import sys
import zipfile

import pytest

from tests.cli.test_main import run
from tests.reading.factory import image, series, write

SECRETS = ("Secret", "SECRET", "19011231", "20230405", "2.25.", "doe_jane")


@pytest.fixture
def study(tmp_path):
    """A readable series, one with a gap, a report; in a folder named after the patient."""
    root = tmp_path / "in"

    def chest(ds, k):
        ds.BodyPartExamined = "CHEST"

    series(root / "doe_jane" / "a", chest)
    write(root / "doe_jane" / "b", *(image(k, series="2") for k in (0, 1, 3, 4)))
    report = image(series="3")
    report.SOPClassUID, report.Modality = "1.2.840.10008.5.1.4.1.1.88.33", "SR"
    write(root / "doe_jane" / "c", report)
    (root / "notes.txt").write_text("no image")
    return root


def test_the_table_has_a_row_a_series_and_names_nobody(capsys, study):
    status, out, _ = run(capsys, "scan", study)
    assert status == 0
    assert "CT    chest       6  4x5x6, 1x2x3 mm, LPS" in out
    assert "slices-missing" in out
    assert "listed   not-a-scan" in out
    assert "error    slices-missing" in out
    assert "3 series, 1 of them readable" in out
    assert "Passed over: 1 no image" in out
    assert not any(secret in out for secret in SECRETS)


def test_private_words_are_shown_when_asked_for(capsys, study):
    _, out, _ = run(capsys, "scan", study, "--show-phi", "--json")
    first = json.loads(out)["series"][0]
    assert first["description"] == "SECRET chest thin"
    assert first["series_uid"].startswith("2.25.")
    assert first["folder"] == "doe_jane/a"


def test_json_holds_all_that_is_known_and_nothing_private(capsys, study):
    _, out, _ = run(capsys, "scan", study, "--json")
    told = json.loads(out)
    readable, gap, report = told["series"]
    assert (readable["usable"], readable["shape"], readable["orientation"]) == (
        True, [4, 5, 6], "LPS",
    )  # fmt: skip
    assert readable["body_part"] == "CHEST"
    assert gap["refusal"]["code"] == "slices-missing"
    assert "1 in 1 gap" in gap["refusal"]["words"]
    assert report["modality"] == "SR"
    assert told["skipped_files"] == {"no image": 1}
    assert not any(secret in out for secret in SECRETS)


def test_a_rule_chooses_rows(capsys, study):
    _, out, _ = run(capsys, "scan", study, "--rules", "number=2", "--json")
    assert [one["number"] for one in json.loads(out)["series"]] == [2]
    status, _, err = run(capsys, "scan", study, "--rules", "colour=red")
    assert status == 3
    assert "There is no key 'colour'" in err


def test_an_empty_folder_is_said_to_be_empty(capsys, tmp_path):
    status, out, _ = run(capsys, "scan", tmp_path)
    assert status == 0
    assert "0 series" in out


def test_converting_tells_what_was_written_and_why_others_were_not(capsys, study, tmp_path):
    status, out, _ = run(capsys, "convert", study, "-o", tmp_path / "out")
    assert status == 6
    assert "4 x 5 x 6, 1 x 2 x 3 mm" in out
    assert "missing slice" in out
    assert "1 converted, 1 refused, 1 left out in" in out
    assert not any(secret in out for secret in SECRETS)


def test_one_refused_scan_is_one_line(capsys, study, tmp_path):
    status, out, err = run(capsys, "convert", study / "doe_jane" / "b", "-o", tmp_path / "out")
    assert (status, out) == (3, "")
    assert err.count("\n") == 1
    assert err.startswith("Error: missing slice")


@pytest.fixture
def packed(study, tmp_path):
    """The study in a zip that is named after the patient."""
    path = tmp_path / "doe_jane.zip"
    with zipfile.ZipFile(path, "w") as out:
        for file in study.rglob("*"):
            out.write(file, file.relative_to(study))
    return path


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_an_archive_is_listed_like_its_folder_and_leaves_nothing(
    capsys, study, packed, temporary
):  # fmt: skip
    status, out, _ = run(capsys, "scan", packed, "--show-phi", "--json")
    assert status == 0
    assert out == run(capsys, "scan", study, "--show-phi", "--json")[1]
    assert not list(temporary.iterdir())


def test_converting_an_archive_writes_no_name_from_it(capsys, packed, temporary, tmp_path):
    status, out, _ = run(capsys, "convert", packed, "-o", tmp_path / "out")
    assert status == 6
    told = out + (tmp_path / "out" / "findings.json").read_text()
    assert not any(secret in told for secret in (*SECRETS, "medseg-", "temporary"))
    assert not list(temporary.iterdir())


def test_a_refused_archive_is_one_line_without_its_names(capsys, packed, temporary):
    packed.write_bytes(packed.read_bytes()[:-30])
    status, out, err = run(capsys, "scan", packed)
    assert (status, out) == (3, "")
    assert err.startswith("Error: The archive is damaged")
    assert err.endswith("[archive-damaged]\n")
    assert err.count("\n") == 1
    assert not any(secret in err for secret in SECRETS)
    assert not list(temporary.iterdir())


@pytest.mark.faults
@pytest.mark.parametrize(("kill", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_while_unpacking_leaves_nothing(packed, temporary, kill, status):
    script = (
        # a shell's background jobs, these tests among them, are born deaf to Ctrl-C
        "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from medseg.cli.main import main\n"
        "from medseg.cli.progress import Report\n"
        f"Report.unpacking = lambda *_: os.kill(os.getpid(), signal.{kill})\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "scan", packed], check=False, capture_output=True,
        text=True, env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("name", ["scan", "convert", "segment"])
def test_help_speaks_of_archives(capsys, name):
    _, out, _ = run(capsys, name, "--help")
    assert ".zip" in out
    assert "DICOMDIR" in out
