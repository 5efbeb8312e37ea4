"""Real scans all the way, against what other programs read of them and of our results."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest

from tests.cli.test_main import run

DATA = Path(__file__).parents[3] / "shared" / "data" / "dicom"

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not DATA.is_dir(), reason="the shared scans (../shared/data) are not here"),
]


def program(name):
    """Return a program of this environment or of the system, or skip."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="module", params=[1, 2, 3])
def crop(request, tmp_path_factory):
    """A hippocampus crop in DICOM, segmented: the source folder and the results' folder."""
    from medseg import segment

    source = DATA / f"mr_hippocampus_crop_{request.param}"
    out = tmp_path_factory.mktemp("crop")
    done = segment(source, model="hippocampus-mr", out=out)
    assert done.exit_status == 0
    return source, out / done.outcomes[0].case


def mask_of(folder):
    return nibabel.load(folder / "mask.nii.gz")


def test_volumes_are_those_of_a_hippocampus(crop):
    volumes = json.loads((crop[1] / "case.json").read_text())["volumes_ml"]
    # reference labels of the 200 labelled cases span 1.07-2.59 and 0.99-2.17 ml
    assert 0.9 < volumes["Anterior hippocampus"] < 2.9
    assert 0.8 < volumes["Posterior hippocampus"] < 2.5


def test_highdicom_finds_the_voxels_of_the_mask_in_the_seg(crop):
    slices = sorted((pydicom.dcmread(path, stop_before_pixels=True) for path in crop[0].iterdir()),
                    key=lambda one: float(one.ImagePositionPatient[2]))  # fmt: skip
    seg = highdicom.seg.segread(crop[1] / "seg.dcm")
    pixels = seg.get_pixels_by_source_instance(
        [one.SOPInstanceUID for one in slices],
        combine_segments=True,
        assert_missing_frames_are_empty=True,
    )  # (K, J, I)
    assert np.array_equal(pixels.T, np.asarray(mask_of(crop[1]).dataobj))


def test_dcmqi_finds_each_voxel_at_its_place(crop, tmp_path):
    subprocess.run([program("segimage2itkimage"), "--inputDICOM", crop[1] / "seg.dcm",
                    "--outputDirectory", tmp_path, "--outputType", "nii"],
                   check=True, capture_output=True)  # fmt: skip
    ours = mask_of(crop[1])
    labels = np.asarray(ours.dataobj)
    found = set()
    for path in sorted(tmp_path.glob("*.nii.gz")):
        theirs = nibabel.load(path)
        array = np.asarray(theirs.dataobj)
        found |= {
            (value, *np.round(nibabel.affines.apply_affine(theirs.affine, index), 3))
            for value in np.unique(array[array > 0]).tolist()
            for index in np.argwhere(array == value)
        }
    expected = {
        (value, *np.round(nibabel.affines.apply_affine(ours.affine, index), 3))
        for value in (1, 2)
        for index in np.argwhere(labels == value)
    }
    assert found == expected


def test_dciodvfy_reports_no_error_beyond_those_of_the_source(crop):
    def errors(path):
        told = subprocess.run([program("dciodvfy"), path], capture_output=True, text=True,
                              check=False).stderr  # fmt: skip
        return {line for line in told.splitlines() if line.startswith("Error")}

    assert errors(crop[1] / "seg.dcm") <= errors(next(crop[0].iterdir()))


@pytest.mark.parametrize(
    ("archive", "folder", "model", "code"),
    [
        ("ct_chest_LUNG1-001.zip", "image", "phantom-tumor-ct", ""),
        ("mr_brain_PGBM.zip", "T1post", "hippocampus-mr", "field-of-view-differs"),
        ("mr_brain_fullhead_3.zip", "", "hippocampus-mr", "field-of-view-differs"),
    ],
)
def test_a_whole_scan_runs_with_the_due_warning_on_the_grid_of_dcm2niix(
    capsys, tmp_path, archive, folder, model, code
):
    with zipfile.ZipFile(DATA / archive) as opened:
        opened.extractall(tmp_path / "in")
    source = next(path for path in [tmp_path / "in", *sorted((tmp_path / "in").rglob("*"))]
                  if path.is_dir() and (not folder or path.name == folder)
                  and any(file.is_file() for file in path.iterdir()))  # fmt: skip
    status, out, _ = run(capsys, "segment", source, "-m", model, "-o", tmp_path / "out", "--json")
    assert status == 0
    case = json.loads(out)["cases"][0]
    warnings = {one["code"] for one in case["findings"] if one["level"] == "warning"}
    assert not code or code in warnings
    (tmp_path / "theirs").mkdir()
    options = ["-p", "n", "-z", "n", "-b", "n", "-f", "x", "-o", tmp_path / "theirs"]
    subprocess.run([program("dcm2niix"), *options, source], check=True, capture_output=True)
    theirs = nibabel.load(next((tmp_path / "theirs").glob("*.nii")))
    ours = mask_of(tmp_path / "out" / case["case"])
    # dcm2niix turns rows upside down: compare the places of the voxels, not their order
    assert sorted(theirs.shape) == sorted(ours.shape)
    assert np.abs(_corners(theirs) - _corners(ours)).max() < 1e-3


def _corners(image):
    index = np.stack(np.meshgrid(*[(0, n - 1) for n in image.shape], indexing="ij"), axis=-1)
    places = nibabel.affines.apply_affine(image.affine, index.reshape(8, 3))
    return places[np.lexsort(places.round(2).T)]
