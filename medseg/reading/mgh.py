"""MGH and MGZ files, FreeSurfer's own: where they lie, and what is odd about them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medseg.dicom.require import quiet
from medseg.reading.image_file import (
    ImageFile,
    check_spacing,
    grid,
    no_orientation,
    shape_and_volumes,
)
from medseg.reading.nifti import check_whole, own_words, volume_of

SUFFIXES = (".mgh", ".mgz")
_DAMAGED = ("file-damaged", "MGH")
_GOOD_RAS = 28  # byte of the flag that says whether the header has an affine at all


def opened(path: Path) -> ImageFile:
    """Return a file's grid and findings from its header, and whether all its bytes are there.

    The affine is that of the header, whose centre is voxel ``shape / 2`` (FreeSurfer wiki,
    "MghFormat").

    Raises
    ------
    InputRefused
        ``file-damaged``, ``file-truncated``, ``zero-spacing``, ``geometry-invalid``.
    """
    from nibabel.freesurfer.mghformat import MGHImage

    with quiet(), own_words(_DAMAGED):
        image: Any = MGHImage.from_filename(path, mmap=False)
        shape, volumes = shape_and_volumes(tuple(map(int, image.shape)))
        check_whole(image)
        check_spacing(np.asarray(image.header["delta"], float))
        findings = () if _says_how_it_lies(image) else (no_orientation(),)
        geometry = grid(shape, image.affine)
    load = partial(volume_of, image, geometry, volumes, _DAMAGED)
    return ImageFile((path,), geometry, volumes, findings, load)


def _says_how_it_lies(image: Any) -> bool:
    """Return the flag as it stands in the file; nibabel sets it where it puts its own affine."""
    with image.file_map["image"].get_prepare_fileobj("rb") as stream:
        head = stream.read(_GOOD_RAS + 2)
    return any(head[_GOOD_RAS:])
