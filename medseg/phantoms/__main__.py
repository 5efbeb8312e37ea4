"""``python -m medseg.phantoms FOLDER``: write a training set of phantoms."""

from __future__ import annotations

import argparse
from pathlib import Path

from medseg.phantoms.dataset import write_dataset

parser = argparse.ArgumentParser(
    description="Write CT phantoms with a tumour or the liver labelled, in MSD layout."
)
parser.add_argument("folder", type=Path)
parser.add_argument("--cases", type=int, default=100)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--structure", choices=["tumour", "liver"], default="tumour")
parser.add_argument("--coarser", type=float, default=1.0, help="times larger voxels")
told = parser.parse_args()
write_dataset(told.folder, told.cases, told.seed, told.structure, told.coarser)
