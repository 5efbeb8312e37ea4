"""One image for classification: a picture, a projection, or a scan of any form."""

from __future__ import annotations

from pathlib import Path

from medseg.reading.picture import is_picture, read_picture
from medseg.reading.projection import is_projection, read_projection
from medseg.reading.read import read
from medseg.volume import Volume


def read_image(path: Path) -> Volume:
    """Return the image at a path, read as what it is."""
    if is_picture(path):
        return read_picture(path)
    if path.is_file() and is_projection(path):
        return read_projection(path)
    return read(path)
