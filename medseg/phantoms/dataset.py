"""A training set of phantoms in the layout of the Medical Segmentation Decathlon."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from medseg.files import make_folder, write_json
from medseg.geometry import Geometry, axes_towards
from medseg.labels import LabelSet
from medseg.phantoms.anatomy import anatomy
from medseg.phantoms.body import LIVER, TUMOUR, body, liver
from medseg.phantoms.nifti import write_nifti
from medseg.phantoms.solids import rotation

Structure = Literal["tumour", "liver"]

FIRST_SEED = 1_000_000  # patients of data sets; demo studies and tests stay below
CASES_A_SEED = 10_000  # so that no two data sets share a patient
CUT_SHARE = 0.3  # of the cases show only part of the trunk
LPS_SHARE = 0.4  # of the cases are stored as DICOM orders them
MARGIN_MM = 12.0  # between the tumour and the edge of the field


def write_dataset(
    folder: Path, cases: int, seed: int, structure: Structure = "tumour", coarser: float = 1.0
) -> None:
    """Write phantoms with their truth: ``dataset.json``, ``imagesTr``, ``labelsTr``.

    Every case is another patient on another grid: 1.2 to 2.5 mm in plane, slices of 2 to
    5 mm, a few degrees oblique, the field sometimes cut, the axes RAS or LPS. Patients come
    from seeds of one million and above, which no demo study uses. About two seconds and
    4 MB a case.

    Parameters
    ----------
    folder : Path
        Made if missing; files of the same name are replaced.
    cases : int
        At most 10,000.
    seed : int
        Not negative; another one gives other patients.
    structure : {"tumour", "liver"}
        What the label is: the one liver tumour, hard to find, or the whole liver, easily learned.
    coarser : float
        Voxels are so many times larger along each axis, for data sets that are soon learned.
    """
    if not 0 <= cases <= CASES_A_SEED or seed < 0:
        raise ValueError(f"{cases} cases of seed {seed} cannot be numbered")
    images, labels = make_folder(folder / "imagesTr"), make_folder(folder / "labelsTr")
    names = [f"phantom_{n:04d}.nii.gz" for n in range(cases)]
    for n, name in enumerate(names):
        patient = FIRST_SEED + seed * CASES_A_SEED + n
        volume, truth = body(patient, random_grid(patient, coarser))
        if structure == "liver":
            truth = liver(patient, volume.geometry)
        write_nifti(images / name, volume.array.astype(np.int16), volume.geometry)
        write_nifti(labels / name, truth.array, truth.geometry)
    write_json(
        folder / "dataset.json", _description(names, TUMOUR if structure == "tumour" else LIVER)
    )


def random_grid(patient: int, coarser: float = 1.0) -> Geometry:
    """Return the grid of a case: it holds the tumour and stays within the phantom's trunk."""
    rng = np.random.default_rng([patient, 1])  # another stream than that of the patient
    in_plane, thick = rng.uniform(1.2, 2.5), rng.uniform(2.0, 5.0)
    spacing = np.array([in_plane, in_plane, thick]) * coarser
    field = np.array([rng.uniform(300, 340), rng.uniform(230, 280), rng.uniform(140, 220)])
    centre = rng.uniform(-1, 1, 3) * (8, 8, 30)
    if rng.uniform() < CUT_SHARE:
        field *= rng.uniform(0.5, 0.85, 3)
    tumour = anatomy(patient).tumour
    room = np.maximum(field / 2 - tumour.reach * tumour.size_mm - MARGIN_MM, 0)
    centre = np.clip(centre, tumour.centre - room, tumour.centre + room)
    shape = np.maximum(np.rint(field / spacing), 24).astype(int)
    x, y, z = rng.uniform(-0.04, 0.04, 3).tolist()  # up to 4.6 degrees about each axis
    affine = np.eye(4)
    affine[:3, :3] = rotation(x, y, z) * spacing
    affine[:3, 3] = centre - affine[:3, :3] @ ((shape - 1) / 2)
    i, j, k = shape.tolist()
    grid = Geometry((i, j, k), affine)
    if rng.uniform() < LPS_SHARE:
        return axes_towards(grid, "LPS").of_geometry(grid)
    return grid


def _description(names: list[str], labels: LabelSet) -> dict[str, object]:
    """Return what ``dataset.json`` holds."""
    return {
        "name": f"medseg {labels[1].name.lower()} phantom",
        "description": "Schematic abdominal CT with one liver tumour a case; no real patient",
        "reference": "medseg.phantoms",
        "licence": "CC0-1.0",
        "release": "1.0",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {"0": "background", **{str(label.value): label.name for label in labels}},
        "numTraining": len(names),
        "numTest": 0,
        "training": [
            {"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names
        ],
        "test": [],
    }
