"""Siemens mosaics: one image whose tiles are the slices of a volume, and where each tile lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medseg.dicom import require, space
from medseg.errors import InputRefused

if TYPE_CHECKING:
    from pydicom import Dataset

OFF_NORMAL = 5e-3  # of length and direction; the CSA header rounds its cosines (nibabel: 4.5e-3)
_COUNT = "NumberOfImagesInMosaic"


@dataclass(frozen=True, slots=True)
class Tile:
    """One slice: its size, its first pixel in the mosaic ``(row, column)`` and its LPS position."""

    rows: int
    columns: int
    corner: tuple[int, int]
    position: tuple[float, ...]


def tiles_of(dataset: Dataset) -> tuple[Tile, ...]:
    """Return the tiles of a mosaic, row by row, each with the position of its own first pixel.

    The mosaic lies in the file as if it were one large image about the centre of the first
    slice: Image Position (Patient) is that of its corner, and the first tile's own lies half
    the difference of the two sizes further along rows and columns (nibabel, "DICOM mosaic").
    The other tiles follow at Spacing Between Slices along the normal; its sign is that of the
    CSA header's SliceNormalVector, as slices may run against row x column.

    Raises
    ------
    InputRefused
        ``mosaic``: the headers do not say how many tiles there are or where they lie.
    """
    count, normal = _from_csa(dataset)
    across = math.ceil(math.sqrt(count))  # the grid is square, its last places may be empty
    rows, columns = _tile_size(dataset, across, count)
    position = np.array(_needed(dataset, "ImagePositionPatient", 3))
    orientation = np.array(_needed(dataset, "ImageOrientationPatient", 6))
    between_rows, between_columns = _needed(dataset, "PixelSpacing", 2)
    (step,) = _needed(dataset, "SpacingBetweenSlices", 1)
    if step <= 0:
        raise _refusal(f"Spacing Between Slices is {step:g} mm")
    half = (across - 1) / 2  # tiles
    first = (
        position
        + half * columns * between_columns * orientation[:3]
        + half * rows * between_rows * orientation[3:]
    )
    towards = step * _directed(space.slice_normal(orientation), normal)  # mm from tile to tile
    return tuple(
        Tile(
            rows,
            columns,
            (n // across * rows, n % across * columns),
            tuple((first + n * towards).tolist()),
        )
        for n in range(count)
    )


def _refusal(why: str) -> InputRefused:
    return InputRefused("mosaic", f"mosaic: its slices cannot be placed: {why}",
                        do="Convert the series with dcm2niix and give the NIfTI file")  # fmt: skip


def _from_csa(dataset: Dataset) -> tuple[int, np.ndarray]:
    """Return the number of tiles and the direction of the slices, LPS."""
    tags = _csa_tags(dataset)
    said = [one for one in (_private_count(dataset), *_items(tags, _COUNT)) if one is not None]
    counts = {_whole(one) for one in said}
    if len(counts) != 1 or min(counts) < 1:
        words = " and ".join(map(str, sorted(counts))) or "nothing"
        raise _refusal(f"the number of its tiles is given as {words}")
    try:
        normal = np.array([float(one) for one in _items(tags, "SliceNormalVector")])
    except (TypeError, ValueError):
        normal = np.empty(0)
    if normal.shape != (3,) or not np.isfinite(normal).all():
        raise _refusal("the CSA header has no slice normal")
    return counts.pop(), normal


def _csa_tags(dataset: Dataset) -> dict[str, Any]:
    from nibabel.nicom import csareader

    try:
        header = csareader.get_csa_header(dataset)
    except Exception as error:  # damage makes the parser raise what it happens to
        raise _refusal(f"its CSA header is damaged ({type(error).__name__})") from None
    if header is None:
        raise _refusal("there is no CSA header, and with it no slice normal")
    tags: dict[str, Any] = header["tags"]
    return tags


def _items(tags: dict[str, Any], name: str) -> list[Any]:
    return list(tags.get(name, {}).get("items", []))


def _private_count(dataset: Dataset) -> Any:
    """Return (0019,xx0A), Number of Images in Mosaic, or None."""
    try:
        return dataset.private_block(0x0019, "SIEMENS MR HEADER")[0x0A].value
    except Exception:  # absent, or damaged: then the CSA header decides alone
        return None


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _tile_size(dataset: Dataset, across: int, count: int) -> tuple[int, int]:
    rows, columns = require.whole(dataset, "Rows") or 0, require.whole(dataset, "Columns") or 0
    if rows % across or columns % across or min(rows, columns) < across:
        raise _refusal(f"{columns} x {rows} pixels do not divide into {count} tiles")
    return rows // across, columns // across


def _needed(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    values = require.numbers(dataset, keyword, count)
    if values is None:
        raise _refusal(f"there is no {keyword}")
    return values


def _directed(across: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the normal of the image plane as a unit vector, with the sign of the CSA header's."""
    lengths = np.linalg.norm(across), np.linalg.norm(normal)
    if max(abs(length - 1) for length in lengths) > OFF_NORMAL:
        raise _refusal(f"its normals have lengths {lengths[0]:.4f} and {lengths[1]:.4f}, not 1")
    unit: np.ndarray = across / lengths[0]
    if np.linalg.norm(np.cross(unit, normal)) > OFF_NORMAL:
        raise _refusal("the slice normal of the CSA header is not that of the image")
    return unit if unit @ normal > 0 else -unit
