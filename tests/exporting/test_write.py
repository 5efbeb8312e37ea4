import errno
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medseg import exporting
from medseg.errors import OutputFailed
from medseg.exporting import nifti, picture, seg
from medseg.geometry import Geometry
from medseg.labels import Label, LabelSet
from medseg.result import Result
from medseg.volume import LabelMap, Source, Volume

LABELS = LabelSet((Label(1, "Liver"), Label(2, "Lesion")))


def make_result(volume: Volume, *, empty: bool = False) -> Result:
    array = np.zeros(volume.geometry.shape, np.uint8)
    if not empty:
        array[1:4, 2:5, 1:4], array[2, 3, 2] = 1, 2
    return Result(volume, LabelMap(array, volume.geometry, LABELS))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def dicom_result(tmp_path, make_study, make_grid):
    return make_result(make_study(tmp_path / "scan", make_grid()))


@pytest.fixture
def plain_result(make_grid):
    grid = make_grid()
    return make_result(Volume(np.zeros(grid.shape, np.float32), grid, "MR", Source("case")))


def test_every_format_is_written_under_its_name_and_nothing_else(dicom_result, tmp_path):
    asked = ["nifti", "seg", "png", "probabilities"]
    probabilities = np.zeros((*dicom_result.labels.array.shape, 3), np.float32)
    result = replace(dicom_result, probabilities=probabilities)
    paths, findings = exporting.write(result, tmp_path / "a" / "b", asked)
    assert {name: path.name for name, path in paths.items()} == exporting.FILES
    assert names(tmp_path / "a" / "b") == sorted(exporting.FILES.values())
    assert [finding.code for finding in findings] == ["codes-private"]


def test_what_cannot_be_written_is_told_and_older_files_of_it_go(plain_result, tmp_path):
    (tmp_path / "seg.dcm").write_text("of an earlier run")
    paths, findings = exporting.write(plain_result, tmp_path, ["nifti", "seg", "probabilities"])
    assert list(paths) == ["nifti"]
    assert [one.code for one in findings] == ["seg-needs-dicom", "probabilities-missing"]
    assert names(tmp_path) == ["mask.nii.gz"]


def test_an_empty_mask_makes_no_seg_but_a_nifti_and_a_sheet(dicom_result, tmp_path):
    result = make_result(dicom_result.volume, empty=True)
    paths, findings = exporting.write(result, tmp_path / "out", ["nifti", "seg", "png"])
    assert sorted(paths) == ["nifti", "png"]
    assert findings[0].code == "no-finding"
    assert findings[0].words.startswith("no finding: ")


def test_an_unknown_format_is_refused_before_anything_is_written(plain_result, tmp_path):
    with pytest.raises(OutputFailed) as failure:
        exporting.write(plain_result, tmp_path / "out", ["nifti", "jpeg"])
    assert failure.value.code == "format-unknown"
    assert not (tmp_path / "out").exists()


def flip_a_voxel(labels: LabelMap) -> LabelMap:
    array = labels.array.copy()
    array[2, 3, 2] = 1
    return replace(labels, array=array)


@pytest.mark.parametrize(("name", "module"), [("nifti", nifti), ("seg", seg)])
def test_a_mask_that_reads_back_otherwise_leaves_no_file(
    dicom_result, tmp_path, monkeypatch, name, module
):
    honest = module.write
    monkeypatch.setattr(
        module, "write", lambda labels, *rest, **more: honest(flip_a_voxel(labels), *rest, **more)
    )
    older = tmp_path / "out" / exporting.FILES[name]
    older.parent.mkdir()
    older.write_text("older")
    with pytest.raises(OutputFailed) as failure:
        exporting.write(dicom_result, tmp_path / "out", [name])
    assert failure.value.code == "verify-failed"
    assert names(tmp_path / "out") == [older.name]
    assert older.read_text() == "older"


def test_a_sheet_that_reads_back_otherwise_leaves_no_file(plain_result, tmp_path, monkeypatch):
    honest = picture.write
    monkeypatch.setattr(
        picture, "write", lambda sheet, path: honest(sheet.point(lambda v: v // 2), path)
    )
    with pytest.raises(OutputFailed, match="read back"):
        exporting.write(plain_result, tmp_path / "out", ["png"])
    assert names(tmp_path / "out") == []


@pytest.mark.faults
@pytest.mark.parametrize("name", ["nifti", "seg", "png", "probabilities"])
def test_a_full_disk_is_one_line_and_leaves_no_file(dicom_result, tmp_path, name):
    # A limit on file size stops a write midway as a full disk does.
    probabilities = np.random.default_rng(0).random((7, 6, 5, 3)).astype(np.float32)
    result = replace(dicom_result, probabilities=probabilities)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(OutputFailed) as failure:
            exporting.write(result, tmp_path / "out", [name])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failure.value.code == "write-failed"
    assert str(failure.value) == (
        f"{exporting.FILES[name]} could not be written: {os.strerror(errno.EFBIG)}. "
        "Check free space and permissions of the output folder."
    )
    assert names(tmp_path / "out") == []


@pytest.mark.faults
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without permission")
def test_a_folder_of_somebody_else_is_one_line(plain_result, tmp_path):
    exporting.write(plain_result, tmp_path / "warm", ["nifti"])  # all modules are loaded
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(OutputFailed, match="could not be made: Permission denied") as failure:
            exporting.write(plain_result, tmp_path / "out", ["nifti"])
    finally:
        os.seteuid(0)
    assert "\n" not in str(failure.value)


def test_exporting_loads_no_writer_before_one_is_asked_for():
    code = (
        "import sys, medseg.exporting; "
        "sys.exit(', '.join({'highdicom', 'pydicom', 'nibabel', 'PIL'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_writing_nifti_does_not_load_highdicom():
    code = (
        "import sys, medseg.exporting as e; e._export('nifti'); "
        "sys.exit(', '.join({'highdicom', 'medseg.exporting.picture'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_grid_of_a_result_is_kept_whatever_the_order_in_memory(tmp_path):
    grid = Geometry((5, 6, 7), np.diag([1.0, 2.0, 3.0, 1.0]))
    result = make_result(Volume(np.zeros(grid.shape, np.float32), grid))
    turned = replace(result.labels, array=np.asfortranarray(result.labels.array))
    for name, labels in (("c", result.labels), ("f", turned)):
        exporting.write(replace(result, labels=labels), tmp_path / name, ["nifti"])
    written = [(tmp_path / name / "mask.nii.gz").read_bytes() for name in "cf"]
    assert written[0] == written[1]
