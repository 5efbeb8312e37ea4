"""Claim: a CT series is read no slower than by the fastest known reader, headers under 2 ms a file.

Reads a DICOM series with ``medseg.read``, SimpleITK's ImageSeriesReader, dicom2nifti and dcm2niix,
in turn, each round in a fresh process that has read the series once before. dcm2niix has no way but
to start a process and to write what it read, uncompressed; dicom2nifti writes as well. Give it the
folder of a series, and a Python that has SimpleITK and dicom2nifti.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 7
TIMED = """
import sys, tempfile, time
folder = sys.argv[1]
{setup}
with tempfile.TemporaryDirectory() as out:
    read(folder, out)
    clock = time.perf_counter()
    read(folder, out)
    print(time.perf_counter() - clock)
"""
READERS = {
    "medseg.read": """
import medseg
def read(folder, out):
    medseg.read(folder)
""",
    "medseg.scan": """
import medseg
def read(folder, out):
    medseg.scan(folder)
""",
    "SimpleITK": """
import SimpleITK
def read(folder, out):
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    SimpleITK.GetArrayViewFromImage(reader.Execute())
""",
    "dicom2nifti": """
import dicom2nifti
def read(folder, out):
    dicom2nifti.dicom_series_to_nifti(folder, out + "/out.nii", reorient_nifti=False)
""",
    "dcm2niix": """
import os, shutil, subprocess
def read(folder, out):
    shutil.rmtree(out)
    os.mkdir(out)
    subprocess.run([os.environ["DCM2NIIX"], "-p", "n", "-z", "n", "-b", "n", "-o", out, folder],
                   check=True, stdout=subprocess.DEVNULL)
""",
}
OWN = ("medseg.read", "medseg.scan", "dcm2niix")  # run by the Python of this script


def main() -> None:
    """Read in turn, print medians and their ratio to ours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("series", type=Path, nargs="?")
    parser.add_argument("--peer-python", type=Path)
    told = parser.parse_args()
    if told.series is None:
        print("not run: give the folder of a DICOM series")
        return
    dcm2niix = shutil.which("dcm2niix", path=str(Path(sys.executable).parent))
    seconds: dict[str, list[float]] = {name: [] for name in READERS}
    for _ in range(ROUNDS):
        for name, spent in seconds.items():
            python = sys.executable if name in OWN else told.peer_python
            if python and (name != "dcm2niix" or dcm2niix):
                spent.append(_timed(name, python, told.series, dcm2niix or ""))
    files = sum(path.is_file() for path in told.series.rglob("*"))
    ours = statistics.median(seconds["medseg.read"])
    for name, spent in seconds.items():
        if not spent:
            print(f"{name}: not here")
            continue
        median = statistics.median(spent)
        each = f", {1000 * median / files:.2f} ms a file" if name == "medseg.scan" else ""
        print(f"{name}: {median:.3f} s, {median / ours:.2f} times medseg.read{each}")


def _timed(name: str, python: str | Path, series: Path, dcm2niix: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        told = subprocess.run(
            [python, "-P", "-c", TIMED.format(setup=READERS[name]), series.resolve()],
            env={"DCM2NIIX": dcm2niix, "HOME": folder}, cwd=folder, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
    return float(told.stdout.split()[-1])


if __name__ == "__main__":
    main()
