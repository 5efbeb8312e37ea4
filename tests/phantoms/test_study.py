import shutil
import subprocess

import nibabel as nib
import numpy as np
import pydicom
import pytest

from medseg.geometry import Geometry
from medseg.phantoms.body import body
from medseg.phantoms.study import study_grid, truth_path, write_study

SEED = 13
TO_RAS = np.diag([-1.0, -1.0, 1.0])


def small_grid(shear: float = 0.0) -> Geometry:
    affine = study_grid().affine @ np.diag([4.0, 3.0, 3.0, 1.0])
    affine[:3, 2] += shear * affine[:3, 1]
    return Geometry((48, 52, 13), affine)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "ct"
    write_study(folder, SEED, small_grid())
    return folder


def read(folder):
    """Return the slices along their normal and the RAS affine, by PS3.3 C.7.6.2.1.1 alone."""
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    along, down = np.reshape(slices[0].ImageOrientationPatient, (2, 3)).astype(float)
    normal = np.cross(along, down)
    slices.sort(key=lambda one: np.dot(normal, np.array(one.ImagePositionPatient, float)))
    first, last = (np.array(slices[n].ImagePositionPatient, float) for n in (0, -1))
    rows, columns = map(float, slices[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0] = TO_RAS @ along * columns
    affine[:3, 1] = TO_RAS @ down * rows
    affine[:3, 2] = TO_RAS @ (last - first) / (len(slices) - 1)
    affine[:3, 3] = TO_RAS @ first
    return slices, affine


@pytest.mark.parametrize("shear", [0.0, 0.25])
def test_the_series_reads_back_as_it_was_drawn(tmp_path, shear):
    grid = small_grid(shear)
    write_study(tmp_path / "ct", SEED, grid)
    slices, affine = read(tmp_path / "ct")
    np.testing.assert_allclose(affine, grid.affine, atol=1e-6)
    volume, _ = body(SEED, grid)
    hu = np.stack([one.pixel_array.T + int(one.RescaleIntercept) for one in slices], axis=2)
    assert np.array_equal(hu, volume.array)


def test_the_reading_room_finds_one_series_on_the_same_grid(study):
    scan = pytest.importorskip("medseg.reading.scan", reason="reading is not there yet")
    (series,) = scan.scan(study)
    volume = series.read()
    drawn, _ = body(SEED, small_grid())
    assert volume.geometry.same_as(drawn.geometry)
    assert np.array_equal(volume.array, drawn.array)


def test_the_truth_lies_beside_the_folder_on_the_grid(study):
    assert truth_path(study).parent == study.parent
    truth = nib.load(truth_path(study))
    np.testing.assert_allclose(truth.affine, small_grid().affine, atol=1e-4)
    assert np.asarray(truth.dataobj).any()


def test_the_grid_is_oblique_about_two_axes_and_anisotropic():
    grid = study_grid()
    angles = np.degrees(np.arcsin([grid.directions[2, 0], grid.directions[2, 1]]))
    assert (np.abs(angles) > 3).all()
    assert not grid.sheared
    assert grid.spacing[2] > 2 * grid.spacing[0]


def test_names_do_not_follow_the_slices(study):
    heights = [float(pydicom.dcmread(p).SliceLocation) for p in sorted(study.iterdir())]
    steps = np.diff(heights)
    assert (steps > 0).any()
    assert (steps < 0).any()


def test_the_patient_is_said_to_be_fictitious(study):
    header = pydicom.dcmread(next(study.iterdir()))
    assert header.PatientName == "Phantom^Medseg"
    assert header.QualityControlSubject == "YES"
    assert "no real patient" in header.PatientComments


def test_identifiers_are_uuids_that_depend_on_the_seed_alone(study, tmp_path):
    write_study(tmp_path / "same", SEED, small_grid())
    write_study(tmp_path / "other", SEED + 1, small_grid())
    here, same, other = (
        {pydicom.dcmread(path).SOPInstanceUID for path in folder.iterdir()}
        for folder in (study, tmp_path / "same", tmp_path / "other")
    )
    assert here == same
    assert not here & other
    assert len(here) == 13
    assert all(uid.startswith("2.25.") and int(uid[5:]) < 2**128 for uid in here)


def test_the_standard_is_kept(study):
    if not shutil.which("dciodvfy"):
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    for path in study.iterdir():
        told = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        assert told.stderr.split() == ["CTImage"], told.stderr
        assert told.returncode == 0
