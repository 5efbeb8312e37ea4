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


@pytest.fixture(scope="module")
def traps(tmp_path_factory):
    if not SCRIPT.exists():
        pytest.skip("the trap series are made by ../shared/tools, which is not here")
    out = tmp_path_factory.mktemp("traps")
    subprocess.run([sys.executable, SCRIPT, out], check=True, capture_output=True)
    return out


@pytest.mark.peer
@pytest.mark.parametrize("number", TRAPS)
def test_trap(traps, number):
    (folder,) = traps.glob(f"{number:02d}_*")
    truth = json.loads((folder / "truth.json").read_text())
    if truth["outcome"] == "read":
        check(read(folder / "dicom"), truth, truth["tolerance"])
        return
    with pytest.raises(InputRefused) as refusal:
        read(folder / "dicom")
    assert any(cause in str(refusal.value).lower() for cause in truth["cause"])
    for n, volume in enumerate(truth.get("volumes", ())):
        check(read(folder / "dicom", volume=n), volume, truth["tolerance"])


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
