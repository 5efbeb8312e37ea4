"""``medseg segment`` as a person or a script meets it."""

import json
import signal
import subprocess
import sys
import time

import nibabel
import numpy as np
import pytest

from tests.batch.conftest import bright_model, threshold_engine  # noqa: F401 - fixtures
from tests.batch.test_segmenting import save_scan
from tests.cli.test_main import run


@pytest.fixture
def scan(tmp_path):
    save_scan(tmp_path / "in" / "a.nii.gz")
    return tmp_path / "in" / "a.nii.gz"


@pytest.mark.usefixtures("threshold_engine")
def test_the_table_tells_case_volume_and_where_the_files_are(
    capsys, scan, tmp_path, bright_model  # noqa: F811
):  # fmt: skip
    status, out, _ = run(capsys, "segment", scan, "-m", bright_model, "-o", tmp_path / "out")
    assert status == 0
    assert "Lesion 0.03 ml" in out
    assert "1 segmented in" in out
    assert "a: info: " in out  # why there is no DICOM SEG


@pytest.mark.usefixtures("threshold_engine")
def test_json_is_one_object_with_every_case(capsys, scan, tmp_path, bright_model):  # noqa: F811
    save_scan(tmp_path / "in" / "b.nii.gz")
    (tmp_path / "in" / "c.nii.gz").write_bytes(b"\x1f\x8b")
    status, out, _ = run(capsys, "segment", scan.parent, "-m", bright_model,
                         "-o", tmp_path / "out", "-f", "nifti", "--json")  # fmt: skip
    told = json.loads(out)
    assert status == told["status"] == 6
    assert [case["status"] for case in told["cases"]] == ["done", "done", "refused"]


@pytest.mark.parametrize(
    ("option", "status", "words"),
    [
        ({"scan": "none.nii.gz"}, 3, "no file or folder at this path"),
        ({"model": "hipocampus-mr"}, 4, "hippocampus-mr"),
        ({"model": "/etc/hostname"}, 4, "Error: "),
    ],
)
def test_a_refusal_is_one_line_and_its_status(
    capsys, scan, tmp_path, bright_model, option, status, words  # noqa: F811
):  # fmt: skip
    told = {"scan": scan, "model": bright_model} | option
    got, out, err = run(capsys, "segment", told["scan"], "-m", told["model"],
                        "-o", tmp_path / "out")  # fmt: skip
    assert got == status
    assert words in err
    assert err.count("\n") == 1
    assert not out
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("threshold_engine")
def test_a_folder_without_permission_is_one_line(capsys, scan, bright_model, unprivileged):  # noqa: F811
    with unprivileged(scan, bright_model) as folder:
        folder.chmod(0o500)
        status, _, err = run(capsys, "segment", folder / scan.name, "-m",
                             folder / bright_model.name, "-o", folder / "out")  # fmt: skip
    assert status == 5
    assert "could not be made: Permission denied" in err


@pytest.mark.faults
@pytest.mark.usefixtures("threshold_engine")
def test_a_full_disk_leaves_nothing_behind(capsys, tmp_path, bright_model, small_disk):  # noqa: F811
    rng = np.random.default_rng(0)  # noise of two labels does not compress
    array = rng.uniform(0, 200, (90, 90, 90)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "big.nii.gz")
    status, out, err = run(capsys, "segment", tmp_path / "big.nii.gz", "-m", bright_model,
                           "-o", small_disk / "out", "-f", "nifti")  # fmt: skip
    assert status == 5
    assert "No space left on device" in out + err
    left = [path.name for path in (small_disk / "out").rglob("*")]
    assert set(left) <= {"run.json"}


@pytest.mark.faults
def test_ctrl_c_in_the_middle_leaves_no_partial_output(tmp_path, bright_model):  # noqa: F811
    for n in range(400):
        save_scan(tmp_path / "in" / f"{n:03d}.nii.gz", n)
    script = (  # which heeds Ctrl-C even where the tests run in the background, and do not
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tests.batch.conftest import Threshold\n"
        "from medseg.inference import Segmenter\nfrom medseg.models import ModelPackage\n"
        "Segmenter.load = lambda name, **_: Segmenter(ModelPackage.open(name), Threshold())\n"
        "from medseg.cli.main import main\nmain()"
    )
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "segment", tmp_path / "in", "-m", bright_model, "-o", out,
         "-f", "nifti"], stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not out.exists() or len(list(out.iterdir())) < 5:
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    record = json.loads((out / "run.json").read_text())
    assert record["complete"] is False
    done = {case["case"] for case in record["cases"]}
    folders = {path.name for path in out.iterdir() if path.is_dir()}
    assert folders == done  # nothing that is not on record, nothing hidden
    assert all((out / case / "case.json").exists() for case in done)
