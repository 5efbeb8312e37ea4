import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medseg.phantoms.nifti import write_nifti
from medseg.reading import read_labels
from tests.datasets.images_factory import make_arrays
from tests.datasets.test_dataset import make_msd
from tests.evaluation.factory import cube, folders
from tests.review.conftest import make_case
from tests.training.test_train import CONFIG

PIPELINES = Path(__file__).parents[2] / "pipelines"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a script with a home of its own, so that what is converted is kept for the next."""
    home = tmp_path_factory.mktemp("home")

    def run(script, *arguments):
        return subprocess.run(
            [sys.executable, PIPELINES / script, *map(str, arguments)],
            capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(home)},
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def archive(tmp_path_factory, make_study, make_grid):
    """Write a DICOM series and a NIfTI file; return the folder and the series' grid."""
    folder = tmp_path_factory.mktemp("archive")
    volume = make_study(folder / "first", make_grid())
    write_nifti(folder / "second.nii.gz", volume.array.astype(np.int16), volume.geometry)
    return folder, volume.geometry


def test_one_scan_is_segmented(run, archive, package, tmp_path):
    folder, grid = archive
    done = run("run_segmentation.py", folder / "first", "--model", package.path,
               "--out", tmp_path, "--formats", "nifti", "png")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Anterior: " in done.stdout
    (case,) = tmp_path.iterdir()
    assert sorted(file.name for file in case.iterdir()) == ["mask.nii.gz", "sheet.png"]
    assert read_labels(case / "mask.nii.gz").geometry.same_as(grid)


def test_a_refusal_is_one_line_and_status_3(run, package, tmp_path):
    (tmp_path / "empty").mkdir()
    for script in ("run_segmentation.py", "batch_study_folder.py"):
        done = run(script, tmp_path / "empty", "--model", package.path, "--out", tmp_path / "out")
        assert done.returncode == 3
        assert done.stderr.splitlines()[-1].endswith("[no-images]")
        assert "Traceback" not in done.stderr


def test_a_tree_is_segmented_with_a_line_for_each_scan(run, archive, package, tmp_path):
    folder, _ = archive
    done = run("batch_study_folder.py", folder, "--model", package.path, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    *cases, total = done.stdout.splitlines()
    assert [line.split()[1] for line in cases] == ["done", "done"]
    assert total.startswith("2 of 2 segmented")
    assert len(json.loads((tmp_path / "run.json").read_text())["cases"]) == 2


def test_the_training_script_refuses_a_config_in_one_line(run, tmp_path):
    (tmp_path / "bad.yaml").write_text("name: mine\nepoch: 3\n")
    done = run("train_model.py", tmp_path / "bad.yaml", "--out", tmp_path / "out")
    assert done.returncode == 5
    assert done.stderr.splitlines()[-1].endswith("[settings-invalid]")


def test_a_model_is_trained_and_judged_on_what_it_never_saw(run, tmp_path):
    (tmp_path / "data").mkdir()
    make_msd(tmp_path / "data", cases=6)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    done = run("train_and_evaluate.py", tmp_path / "tiny.yaml", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith("2 held-out cases")
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 2
    assert (tmp_path / "out" / "evaluation" / "report.html").is_file()


def test_the_textbook_network_tells_its_story(run, tmp_path):
    data = make_arrays(tmp_path / "halves.npz", (40, 16, 16))
    done = run("textbook_cnn.py", "--data", data, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "convolution_1" in done.stdout
    assert "AUC 1.000" in done.stdout
    assert (tmp_path / "out" / "textbook.png").is_file()


def test_results_are_put_on_a_page_and_what_is_accepted_is_copied(run, tmp_path):
    out = tmp_path / "results"
    outcome = make_case(out, "a")
    make_case(out, "b", liver=slice(0))
    page = run("review_export.py", out)
    assert page.returncode == 0, page.stderr
    assert page.stdout.splitlines()[:2] == ["b: The mask is empty", "a: nothing stands out"]
    assert (out / "worksheet.html").exists()
    accepted = {"case": "a", "mask_sha256": outcome.outputs["nifti"]["sha256"],
                "verdict": "accept", "reason": ""}  # fmt: skip
    decisions = tmp_path / "decisions.json"
    decisions.write_text(json.dumps({"format": 1, "reader": "", "decisions": [accepted]}))
    copied = run("review_export.py", out, "--decisions", decisions, "--to", tmp_path / "to")
    assert copied.returncode == 0, copied.stderr
    assert copied.stdout.splitlines() == ["a: accepted", "b: undecided"]
    assert (tmp_path / "to" / "a" / "mask.nii.gz").exists()
    again = run("review_export.py", out, "--decisions", decisions, "--to", tmp_path / "to")
    assert again.returncode == 5
    assert again.stderr.splitlines()[-1].endswith("[output-exists]")


def test_masks_are_scored_and_what_cannot_be_is_told(run, tmp_path):
    masks = folders(tmp_path, {"good": (cube(shift=1), cube()), "lacking": (None, cube())})
    done = run("evaluate_folder.py", *masks, "--out", tmp_path / "out")
    assert done.returncode == 6, done.stderr
    assert done.stdout.startswith("Label 1: Dice 0.750")
    assert "1 of 2 cases" in done.stdout
    assert "lacking: There is a reference and no prediction" in done.stderr
    assert (tmp_path / "out" / "report.html").is_file()
