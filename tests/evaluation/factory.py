"""Small masks in files: cubes whose scores can be worked out by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np

SHAPE = (12, 12, 12)
SPACING = (1.0, 1.0, 2.0)


def cube(start: int = 2, side: int = 4, value: int = 1, *, shift: int = 0) -> np.ndarray:
    """Return a cube of one value; ``shift`` moves it along the first axis."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[start + shift : start + shift + side, start : start + side, start : start + side] = value
    return mask


def save(path: Path, mask: np.ndarray, spacing=SPACING, origin=(0, 0, 0)) -> Path:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(mask, affine), path)
    return path


def folders(root: Path, cases: dict[str, tuple[np.ndarray | None, np.ndarray | None]]):
    """Write predictions and references by case; return both folders."""
    for case, sides in cases.items():
        for name, mask in zip(("predictions", "references"), sides, strict=True):
            (root / name).mkdir(parents=True, exist_ok=True)
            if mask is not None:
                save(root / name / f"{case}.nii.gz", mask)
    return root / "predictions", root / "references"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
