"""Claim: 60 hippocampus cases are segmented in less than half the time nnU-Net takes.

Times ``medseg segment`` on a folder of copies of cases of MSD Task04, process start included,
with a warm graph cache. Give it the folder of the unpacked task.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS, CASES = 3, 60


def main() -> None:
    """Segment the same cases a few times and print the median."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", type=Path, nargs="?")
    task = parser.parse_args().task
    if task is None:
        print("not run: give the folder of MSD Task04")
        return
    images = sorted((task / "imagesTr").glob("*.nii.gz"))[:CASES]
    with tempfile.TemporaryDirectory() as folder:
        scans = Path(folder, "scans")
        scans.mkdir()
        for image in images:
            shutil.copy(image, scans)
        seconds = [_run(scans, Path(folder, f"out{n}")) for n in range(ROUNDS + 1)][1:]
        one = [_run(next(scans.iterdir()), Path(folder, f"one{n}")) for n in range(ROUNDS)]
    print(f"{len(images)} cases {statistics.median(seconds):.1f} s, "
          f"one case {statistics.median(one):.2f} s, process start included")  # fmt: skip


def _run(scans: Path, out: Path) -> float:
    command = [sys.executable, "-m", "medseg", "segment", str(scans), "-m", "hippocampus-mr",
               "-o", str(out), "--formats", "nifti"]  # fmt: skip
    clock = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - clock


if __name__ == "__main__":
    main()
