"""The fifteen trap series: read right, or refused with the cause."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medseg.errors import InputRefused
from medseg.geometry import Geometry
from medseg.reading import read

SCRIPT = Path(__file__).parents[3] / "shared" / "tools" / "make_trap_series.py"
TRAPS = range(1, 16)
# Measured on the same series; SimpleITK 2.5.7, dicom2nifti 2.6.2, dcm2niix 1.0.20260724,
# MONAI 1.6.1 (PydicomReader, ITKReader), highdicom 0.28.2, dicom-numpy 0.6.5.
# R right, F refused with its cause, f without, W wrong in silence, w with a warning, E error
PEERS = ("SimpleITK", "dicom2nifti", "dcm2niix", "MONAI", "MONAI-ITK", "highdicom", "dicom-numpy")
THEIRS = (
    "RERWRRR", "RRRRRRR", "RRRRRRR", "WEWRWEW", "wfwWwfF", "WfWWWff", "wFWWwff", "RRRRRRR",
    "WWWWWWW", "WRRRWWR", "EEREWEE", "WfRWWff", "WFFFWFF", "WEWWWRE", "RRRRRER",
)  # fmt: skip


@pytest.fixture(scope="module")
def traps(tmp_path_factory):
    if not SCRIPT.exists():
        pytest.skip("the trap series are made by ../shared/tools, which is not here")
    out = tmp_path_factory.mktemp("traps")
    subprocess.run([sys.executable, SCRIPT, out], check=True, capture_output=True)
    return out


@pytest.mark.peer
def test_all_of_them_beside_the_peers(traps, capsys):
    rows = []
    for number, theirs in zip(TRAPS, THEIRS, strict=True):
        (folder,) = traps.glob(f"{number:02d}_*")
        rows.append((folder.name, trap(folder), *theirs))
    with capsys.disabled():
        print(f"\n{'':26} medseg {' '.join(f'{name:11}' for name in PEERS)}")
        for name, ours, *theirs in rows:
            print(f"{name:26} {ours:6} {' '.join(f'{one:11}' for one in theirs)}")
    assert {ours for _, ours, *_ in rows} == {"R", "F"}


@pytest.mark.peer
@pytest.mark.parametrize("number", TRAPS)
def test_trap(traps, number):
    (folder,) = traps.glob(f"{number:02d}_*")
    trap(folder)


def trap(folder):
    """Read a trap: R when it is right, F when it is rightly refused; anything else raises."""
    truth = json.loads((folder / "truth.json").read_text())
    if truth["outcome"] == "read":
        check(read(folder / "dicom"), truth, truth["tolerance"])
        return "R"
    with pytest.raises(InputRefused) as refusal:
        read(folder / "dicom")
    assert any(cause in str(refusal.value).lower() for cause in truth["cause"])
    for n, volume in enumerate(truth.get("volumes", ())):
        check(read(folder / "dicom", volume=n), volume, truth["tolerance"])
    return "F"


def check(volume, truth, tolerance):
    expected = Geometry(tuple(truth["shape"]), np.array(truth["affine"]))
    assert volume.geometry.same_as(expected, tolerance["mm"])
    for probe in truth["probes"]:
        assert abs(value_at(volume, probe["ras"]) - probe["value"]) <= tolerance["value"]
    for point in truth.get("padding", {}).get("ras", ()):
        assert value_at(volume, point) in truth["padding"]["accept"]


def value_at(volume, point) -> float:
    index = np.linalg.solve(volume.geometry.affine, [*point, 1])[:3]
    return float(volume.array[tuple(np.rint(index).astype(int))])
