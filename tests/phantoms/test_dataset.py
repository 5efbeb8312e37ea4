import json

import nibabel as nib
import numpy as np
import pytest

from medseg.datasets import open_dataset, read_case
from medseg.geometry import rescaled
from medseg.phantoms.anatomy import anatomy
from medseg.phantoms.body import TUMOUR
from medseg.phantoms.dataset import FIRST_SEED, random_grid, write_dataset
from medseg.phantoms.solids import sphere

PATIENTS = range(FIRST_SEED, FIRST_SEED + 25)


@pytest.fixture(scope="module")
def grids():
    return [random_grid(patient) for patient in PATIENTS]


@pytest.fixture
def coarse_grids(monkeypatch):
    """Voxels four times as wide, so that a case takes a tenth of the time."""
    monkeypatch.setattr(
        "medseg.phantoms.dataset.random_grid",
        lambda patient, coarser: rescaled(random_grid(patient, coarser), (6.0, 6.0, 6.0)),
    )


def test_the_decathlon_layout_reads_back(tmp_path, coarse_grids):
    write_dataset(tmp_path, 2, seed=7)
    dataset = open_dataset(tmp_path)
    assert dataset.channels == ("CT",)
    assert [(label.value, label.name) for label in dataset.labels] == [(1, "Tumour")]
    for case in dataset.cases:
        volume, labels = read_case(case, dataset.labels)
        assert volume.geometry.same_as(labels.geometry)
        assert labels.array.any()
        assert volume.array.min() < -900


def test_files_hold_whole_hounsfield_units_and_the_same_place_twice(tmp_path, coarse_grids):
    write_dataset(tmp_path, 1, seed=0)
    pair = json.loads((tmp_path / "dataset.json").read_text())["training"][0]
    image, label = (nib.load(tmp_path / pair[kind]) for kind in ("image", "label"))
    assert image.get_data_dtype() == np.int16
    assert label.get_data_dtype() == np.uint8
    for form in (image.get_sform(), image.get_qform()):
        np.testing.assert_allclose(form, label.affine, atol=1e-3)


def test_a_seed_gives_the_same_files(tmp_path, coarse_grids):
    for folder in ("one", "two"):
        write_dataset(tmp_path / folder, 1, seed=3)
    one, two = (sorted((tmp_path / name).rglob("*.*")) for name in ("one", "two"))
    assert len(one) == 3
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_cut_fields_still_hold_the_whole_tumour(monkeypatch):
    monkeypatch.setattr("medseg.phantoms.dataset.CUT_SHARE", 1.0)
    for patient in PATIENTS[:12]:
        grid = random_grid(patient)
        edge = anatomy(patient).tumour.surface(sphere(100))
        index = (edge - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T
        assert (index > -0.5).all()
        assert (index < np.array(grid.shape) - 0.5).all()


def test_grids_differ_as_scanners_do(grids):
    spacings = np.array([grid.spacing for grid in grids])
    assert spacings[:, :2].min() > 1.19
    assert spacings[:, :2].max() < 2.51
    assert spacings[:, 2].min() > 1.99
    assert spacings[:, 2].max() < 5.01
    assert {grid.orientation for grid in grids} == {"RAS", "LPS"}
    fields = np.array([grid.shape for grid in grids]) * spacings
    assert (fields[:, 0] < 250).sum() > 3  # cut
    assert max(grid.shape[0] * grid.shape[1] * grid.shape[2] for grid in grids) < 8e6


@pytest.mark.parametrize(("cases", "seed"), [(10_001, 0), (-1, 0), (1, -1)])
def test_patients_cannot_be_shared_between_data_sets(tmp_path, cases, seed):
    with pytest.raises(ValueError, match="cannot be numbered"):
        write_dataset(tmp_path, cases, seed)


def test_the_label_says_what_an_export_needs():
    (label,) = TUMOUR
    assert (label.category.value, label.type.value) == ("49755003", "108369006")
