"""The command line as a whole: quick, offline, one clear line for every refusal."""

import os
import signal
import subprocess
import sys

import pytest

from medseg.cli.main import COMMANDS, main

HEAVY = ("tensorflow", "keras", "openvino", "pydicom", "nibabel", "scipy", "numpy", "pydantic",
         "matplotlib", "albumentations", "cv2", "rich")  # fmt: skip


def loaded_by(code):
    told = f"import sys\n{code}\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    return subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True
    ).stdout.split("\n")[-2].split()  # fmt: skip


def test_importing_medseg_loads_nothing_heavy():
    assert loaded_by("import medseg") == []


@pytest.mark.parametrize("arguments", [["--help"], *[[name, "--help"] for name in COMMANDS]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        "from medseg.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert end.code == 0"
    )
    assert loaded_by(code) == []


def test_segmenting_with_a_warm_cache_needs_no_tensorflow():
    code = "import medseg\nmedseg.segment, medseg.Segmenter, medseg.read"
    assert not {"tensorflow", "keras"} & set(loaded_by(code))


def test_every_public_name_exists():
    environment = {**os.environ, "EAGER_IMPORT": "1"}
    code = "import medseg\nassert all(hasattr(medseg, name) for name in medseg.__all__)"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return end.value.code, told.out, told.err


def test_help_lists_every_command_and_the_exit_statuses(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0
    assert all(name in out for name in COMMANDS)
    assert "130 interrupted" in out
    assert "not a medical device" in out


def test_an_unknown_command_suggests_the_one_that_was_meant(capsys):
    status, _, err = run(capsys, "segmnet")
    assert status == 2
    assert "Did you mean 'segment'?" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["segment", "x"], "Missing option '-m'"),
        (["segment", "x", "-m", "m", "-o", "o", "-f", "tiff"], "choose from nifti, seg, png"),
        (["segment", "x", "-m", "m", "-o", "o", "--device", "tpu"], "'tpu' is not one of"),
        (["train", "--out", "x"], "Missing argument 'CONFIG'"),
    ],
)
def test_wrong_use_ends_with_2(capsys, arguments, words):
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert words in err


def test_version_is_printed(capsys):
    status, out, _ = run(capsys, "--version")
    assert status == 0
    assert out.startswith("medseg 0.")


def test_completion_names_commands_without_importing_them():
    environment = {**os.environ, "_MEDSEG_COMPLETE": "bash_complete", "COMP_WORDS": "medseg se",
                   "COMP_CWORD": "1"}  # fmt: skip
    told = subprocess.run(
        [sys.executable, "-c", "from medseg.cli.main import main; main()"],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert "plain,segment" in told.stdout


def test_an_unforeseen_error_is_one_line_without_its_words(capsys, monkeypatch):
    from medseg.cli import main as module

    def explode(**_):
        raise RuntimeError("Doe^Jane")

    monkeypatch.setattr(module.group, "main", explode)
    status, _, err = run(capsys, "doctor")
    assert status == 5
    assert "something unforeseen (RuntimeError)" in err
    assert "Doe" not in err


def test_ctrl_c_ends_with_130(capsys, monkeypatch):
    from medseg.cli import main as module

    def interrupt(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.group, "main", interrupt)
    status, _, err = run(capsys, "doctor")
    assert status == 130
    assert err.count("\n") == 1


def test_a_reader_that_goes_away_ends_quietly():
    code = (
        "import sys\nfrom medseg.cli.main import main\n"
        "try:\n    main(['--help'])\nfinally:\n    sys.stdout.flush()"
    )
    piped = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "$0" | head -c 1', code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Traceback" not in piped.stderr


def test_a_program_that_calls_the_command_line_keeps_its_own_way_to_end(capsys):
    before = signal.getsignal(signal.SIGTERM)
    run(capsys, "--version")
    assert signal.getsignal(signal.SIGTERM) is before
