"""A small picture of an image file, for lists of cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from medseg.errors import InputRefused
from medseg.exporting.picture import window_of
from medseg.geometry import axes_towards
from medseg.reading import read

PICTURES = (".png", ".jpg", ".jpeg")
SIDE = 192  # pixels


def thumbnail(path: Path) -> Image.Image:
    """Return an image within a square, as it is shown: a picture, or a scan's middle slice.

    The slice is the middle one along the axis of the longest voxels, in radiological
    convention, true proportions and the usual window. Small pictures are enlarged by whole
    pixels, so that they are seen as the network saw them.

    Raises
    ------
    InputRefused
        ``path-missing``, ``file-damaged``, and what :func:`medseg.read` raises.
    """
    if path.suffix.lower() in PICTURES:
        return _fitted(opened(path), (1.0, 1.0))
    volume = read(path)
    scan = volume.array if volume.array.ndim == 3 else volume.array[..., 0]
    to_lps = axes_towards(volume.geometry, "LPS")
    scan, spacing = to_lps.of_array(scan), to_lps.of_geometry(volume.geometry).spacing
    # the last of those with the longest voxels: axial where they are alike
    across = max(range(3), key=lambda axis: (scan.shape[axis] == 1, round(spacing[axis], 2), axis))
    level, width = window_of(scan, np.zeros(scan.shape, bool), volume.modality)
    middle = np.take(scan, scan.shape[across] // 2, axis=across).T  # rows from the top
    middle = middle if across == 2 else middle[::-1]  # up is towards the head
    shades = np.clip((middle - (level - width / 2)) * (255 / width), 0, 255).astype(np.uint8)
    plane = [mm for axis, mm in enumerate(spacing) if axis != across]
    return _fitted(Image.fromarray(shades), (plane[0], plane[1]))


def opened(path: Path) -> Image.Image:
    """Return a picture file as 8 bits, grey or RGB; more bits are put into a usual window.

    Raises
    ------
    InputRefused
        ``path-missing``, ``file-damaged``.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith("I") or picture.mode == "F":  # 16 bits and more
                values = np.asarray(picture, np.float32)
                low, high = np.percentile(values, (1, 99.5))
                scaled = (values - low) * (255 / max(float(high - low), 1e-6))
                return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))
            return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    except FileNotFoundError:
        raise InputRefused("path-missing", "There is no file at this path",
                           do="Check how it is written, or mount its disk") from None  # fmt: skip
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError):
        raise InputRefused("file-damaged", "The picture is damaged or cut off",
                           do="Copy or export the file again") from None  # fmt: skip


def _fitted(picture: Image.Image, spacing: tuple[float, float]) -> Image.Image:
    """Return a picture with square pixels whose longer side is the thumbnail's."""
    width, height = (n * mm for n, mm in zip(picture.size, spacing, strict=True))
    scale = SIDE / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    smaller = max(picture.size) > SIDE
    how = Image.Resampling.LANCZOS if smaller else Image.Resampling.NEAREST
    return picture.resize(size, how)
