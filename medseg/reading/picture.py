"""Pictures as images without a place: PNG and JPEG files, and arrays of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medseg.errors import InputRefused
from medseg.geometry import Geometry
from medseg.volume import Source, Volume

SUFFIXES = (".png", ".jpg", ".jpeg")
LARGEST_PIXELS = 100_000_000  # of a picture; a mammogram has 15 million

_AS_DISPLAYED = np.diag([-1.0, -1.0, 1.0, 1.0])  # columns to the left, rows to the back: LPS


def is_picture(path: Path) -> bool:
    """Return whether a file is a picture, by the end of its name."""
    return path.name.lower().endswith(SUFFIXES)


def volume_of_pixels(pixels: np.ndarray, case: str, source: Path | None = None) -> Volume:
    """Return an image of one slice, placed as DICOM displays an axial one.

    Parameters
    ----------
    pixels : (rows, columns) or (rows, columns, C) array
        Row 0 at the top.
    case : str
        Name for folders and logs.
    source : Path, optional
        The file it came from.

    Returns
    -------
    Volume
        ``(columns, rows, 1)`` or ``(columns, rows, 1, C)`` float32; a pixel counts as 1 mm.

    Raises
    ------
    InputRefused
        ``not-finite``: a pixel is NaN or infinite. ``pixels-invalid``: these are no pixels.
    """
    if pixels.ndim not in (2, 3) or not pixels.size or pixels.dtype.kind not in "buif":
        raise InputRefused(
            "pixels-invalid", f"An array of shape {pixels.shape} ({pixels.dtype}) is no image",
            do="Give rows x columns, or rows x columns x channels, of numbers",
        )  # fmt: skip
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and so refused
        array = np.ascontiguousarray(np.swapaxes(pixels, 0, 1)[:, :, np.newaxis], np.float32)
    lost = array.size - int(np.count_nonzero(np.isfinite(array)))
    if lost:
        raise InputRefused("not-finite", f"{lost} of {array.size} pixels are NaN or infinite",
                           do="Convert the image again")  # fmt: skip
    files = (source,) if source else ()
    columns, rows = array.shape[:2]
    return Volume(array, Geometry((columns, rows, 1), _AS_DISPLAYED),
                  source=Source(case, "array" if source is None else "picture", files))  # fmt: skip


def read_picture(path: Path) -> Volume:
    """Read a picture file, see :func:`volume_of_pixels`.

    Grey levels keep their values, 8 or 16 bits. A colour picture whose channels are equal is
    grey; any other has three channels. Transparency is left out.

    Raises
    ------
    InputRefused
        ``path-missing``, ``file-unreadable``, ``file-damaged``, ``too-large``.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > LARGEST_PIXELS:
                raise InputRefused("too-large", f"The picture has {picture.width} x "
                                   f"{picture.height} pixels", do="Crop it")  # fmt: skip
            grey = picture.mode in ("1", "L", "F") or picture.mode.startswith("I")
            pixels = np.asarray(picture if grey else picture.convert("RGB"))
    except FileNotFoundError:
        raise InputRefused("path-missing", "There is no file at this path",
                           do="Check how it is written, or mount its disk") from None  # fmt: skip
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError):
        raise _damaged() from None
    except OSError as error:
        if error.errno is None:  # Pillow's own, for a file that breaks off
            raise _damaged() from None
        words = (error.strerror or type(error).__name__).lower()
        raise InputRefused("file-unreadable", f"The file may not be read: {words}",
                           do="Ask for access to it, or check the disk") from None  # fmt: skip
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    return volume_of_pixels(pixels, path.stem, path)


def _damaged() -> InputRefused:
    return InputRefused("file-damaged", "The picture is damaged or cut off",
                        do="Copy or export the file again")  # fmt: skip
