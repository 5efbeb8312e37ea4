"""data_samples/ is what its recipe makes."""

import importlib.util
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medseg.phantoms.dataset import FIRST_SEED
from medseg.phantoms.study import truth_path

SAMPLES = Path(__file__).parents[2] / "data_samples"


@pytest.fixture(scope="module")
def recipe():
    spec = importlib.util.spec_from_file_location("make_samples", SAMPLES / "make_samples.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_recipe_makes_the_study_byte_for_byte(recipe, tmp_path):
    made = recipe.make_phantom(tmp_path)
    kept = SAMPLES / recipe.PHANTOM
    assert contents(made) == contents(kept)
    assert sum(map(len, contents(kept).values())) < 8e6
    one, two = (nib.load(truth_path(folder)) for folder in (made, kept))
    assert np.array_equal(one.affine, two.affine)  # the bytes depend on the version of zlib
    assert np.array_equal(one.dataobj, two.dataobj)


def test_no_training_set_holds_the_patient(recipe):
    assert recipe.PHANTOM_SEED < FIRST_SEED


def test_hippocampus_cases_are_copied_as_they_are(recipe, tmp_path):
    source = tmp_path / "Task04_Hippocampus"
    for kind in ("imagesTr", "labelsTr"):
        (source / kind).mkdir(parents=True)
        for n in (1, 2, 3):
            (source / kind / f"hippocampus_00{n}.nii.gz").write_bytes(f"{kind} {n}".encode())
    recipe.copy_hippocampus(source, ["hippocampus_001", "hippocampus_003"], tmp_path)
    names = {"hippocampus_001.nii.gz", "hippocampus_003.nii.gz"}
    copied = contents(tmp_path / "hippocampus" / "labels")
    assert set(contents(tmp_path / "hippocampus" / "images")) == set(copied) == names
    assert copied["hippocampus_003.nii.gz"] == b"labelsTr 3"
