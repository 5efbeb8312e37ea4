import json
import subprocess
import sys

import pytest

from medseg.doctor.checks import Check
from medseg.doctor.self_test import Row, SelfTest

WELL = (
    Check("Python", "ok", "3.11"),
    Check("GPU", "info", "none"),
    Check("Disk", "warning", "[bold]1 GB[/] free [/here]", do="Free some space"),
)
SYNTAXES = {"1.2.3": {"name": "Plain", "plugins": ["pydicom"], "packages": "", "limit": ""},
            "1.2.4": {"name": "Odd", "plugins": ["gdcm"], "packages": "", "limit": "8 bits only"},
            "1.2.5": {"name": "Rare", "plugins": [], "packages": "some", "limit": ""}}  # fmt: skip


@pytest.fixture
def found(monkeypatch):
    """Let the checks find these."""

    def find(*checks):
        monkeypatch.setattr("medseg.doctor.checks.examine", lambda cache, progress: list(checks))

    return find


@pytest.fixture
def tested(monkeypatch):
    """Let the self-test find these."""

    def find(*rows):
        result = SelfTest(rows, 1.25)
        monkeypatch.setattr("medseg.doctor.self_test.self_test", lambda progress: result)

    return find


def test_checks_are_printed_as_they_are_and_warnings_end_well(medseg, found):
    found(*WELL)
    status, out, _ = medseg("doctor")
    assert status == 0
    assert "[bold]1 GB[/] free [/here]" in out
    assert "→ Free some space" in out
    assert out.rstrip().endswith("1 warning")
    assert "Self-test" not in out


def test_an_error_ends_with_5(medseg, found):
    found(*WELL, Check("Models", "error", "tiny: broken", do="Install again"))
    status, out, _ = medseg("doctor")
    assert status == 5
    assert "1 error, 1 warning" in out


def test_every_transfer_syntax_is_listed_with_what_decodes_it(medseg, found):
    found(Check("Decoders", "ok", "2 of 3", details=SYNTAXES))
    lines = [line.split() for line in medseg("doctor")[1].splitlines()]
    assert ["Plain", "1.2.3", "pydicom"] in lines
    assert ["Odd", "1.2.4", "gdcm", "(8", "bits", "only)"] in lines
    assert ["Rare", "1.2.5", "nothing"] in lines
    assert ["All", "is", "well"] in lines


def test_nothing_is_cut_off_in_a_narrow_terminal(medseg, found, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    found(Check("Cache", "warning", "a" * 90, do="b" * 90))
    _, out, _ = medseg("doctor")
    assert out.count("a") >= 90
    assert out.count("b") >= 90


def test_json_is_one_object_with_all_that_was_found(medseg, found, tested):
    found(*WELL)
    tested(Row("NIfTI", "all", True, 48, 0, 0.0, 0.0))
    status, out, _ = medseg("doctor", "--self-test", "--json")
    told = json.loads(out)
    assert told["status"] == status == 0
    assert [check["name"] for check in told["checks"]] == ["Python", "GPU", "Disk"]
    assert told["self_test"]["passed"]
    assert told["self_test"]["rows"][0]["cases"] == 48
    assert json.loads(medseg("doctor", "--json")[1])["self_test"] is None


def test_a_self_test_that_fails_ends_with_5_and_says_where(medseg, found, tested):
    found(*WELL)
    tested(
        Row("NIfTI", "axis orders", True, 48, 17, 3.5, 1.0),
        Row("DICOM, SEG", "both kinds", True, 9, failures=[f"case {n} (LPS): gone"
                                                              for n in range(1, 6)]),
    )  # fmt: skip
    status, out, _ = medseg("doctor", "--self-test")
    assert status == 5
    assert "Self-test FAILED" in out
    assert "3.5000" in out
    assert "case 3 (LPS): gone" in out
    assert "and 2 more" in out


def test_a_self_test_that_passes_says_what_that_means(medseg, found, tested):
    found(*WELL)
    tested(Row("NIfTI", "axis orders", False, 48, 23, 0.0883, 0.0321))
    status, out, _ = medseg("doctor", "--self-test")
    assert status == 0
    assert "0.0883" in out
    assert "passed" in out


@pytest.mark.parametrize("command", ["doctor", "models"])
def test_help_loads_nothing_heavy(command):
    code = (
        "import sys\n"
        "from medseg.cli.main import main\n"
        "try: main([sys.argv[1], '--help'])\n"
        "finally: print(sorted({'numpy', 'pydantic', 'rich', 'pydicom'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True,
                          check=True).stdout  # fmt: skip
    assert told.splitlines()[-1] == "[]"
    assert "Examples:" in told
