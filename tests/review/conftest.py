"""Folders of results as ``medseg segment`` writes them, made without a model."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg.batch.outcome import Outcome, Run
from medseg.batch.record import write_case, write_run, written
from medseg.exporting.nifti import write as write_mask
from medseg.exporting.nifti import write_volume
from medseg.findings import Finding
from medseg.geometry import Geometry
from medseg.labels import Label, LabelSet
from medseg.volume import LabelMap, Volume

LABELS = LabelSet((Label(1, "Liver"), Label(7, "Lesion")))
GRID = Geometry((12, 12, 12), np.diag([1.0, 1.0, 1.0, 1.0]))


def make_case(
    out: Path,
    name: str,
    *,
    liver: slice = slice(3, 6),
    findings: tuple[Finding, ...] = (),
    share: float | None = None,
    seg: bool = False,
    picture: bool = True,
    model: str = "bright",
) -> Outcome:
    """Write a case whose liver fills ``liver`` along every axis and whose lesion is one voxel."""
    folder = out / name
    folder.mkdir(parents=True)
    array = np.zeros(GRID.shape, np.uint8)
    array[liver, liver, liver] = 1
    if array.any():
        array[8, 8, 8] = 7
    mask = LabelMap(array, GRID, LABELS)
    paths = {"nifti": folder / "mask.nii.gz"}
    write_mask(mask, paths["nifti"])
    if seg:
        paths["seg"] = folder / "seg.dcm"
        paths["seg"].write_bytes(f"stands for a SEG of {name}".encode())
    if picture:
        paths["png"] = folder / "sheet.png"
        shade = sum(name.encode()) % 200
        Image.new("RGB", (64, 32), (shade, 40, 60)).save(paths["png"])
    if share is not None:
        shares = np.zeros((*GRID.shape, 3), np.float32)
        shares[array == 1, 1] = shares[array == 7, 2] = share
        paths["probabilities"] = folder / "probabilities.nii.gz"
        write_volume(Volume(shares, GRID), paths["probabilities"])
    outcome = Outcome(
        name,
        "done",
        modality="MR",
        shape=GRID.shape,
        spacing_mm=GRID.spacing,
        volumes_ml=mask.volumes_ml(),
        outputs=written(paths),
        findings=findings,
        provenance={
            "model": {"name": model, "version": "1", "hash": "0" * 64},
            "labels": {label.name: label.value for label in LABELS},
        },
    )
    write_case(folder, outcome, {})
    return outcome


@pytest.fixture
def make_results(tmp_path):
    """Return a factory of folders of results: each case by its name and how it differs."""

    def make(cases: dict[str, dict], others: tuple[Outcome, ...] = ()) -> Path:
        out = tmp_path / "results"
        out.mkdir(exist_ok=True)
        done = [make_case(out, name, **how) for name, how in cases.items()]
        write_run(out, Run((*done, *others)), {})
        return out

    return make
