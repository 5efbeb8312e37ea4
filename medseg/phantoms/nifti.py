"""NIfTI files that have the same bytes each time they are written."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

from medseg.files import whole_file
from medseg.geometry import Geometry

SCANNER = 1  # sform and qform code: scanner coordinates


def write_nifti(path: Path, array: np.ndarray, geometry: Geometry) -> None:
    """Write an integer array ``(I, J, K)`` as ``.nii.gz``, without a time stamp.

    A sheared grid goes into the sform only: a qform would lose the shear silently.
    """
    image = nib.Nifti1Image(array, geometry.affine)
    image.set_sform(geometry.affine, SCANNER)
    image.set_qform(geometry.affine, 0 if geometry.sheared else SCANNER)
    image.header.set_xyzt_units("mm")
    with (
        whole_file(path) as aside,
        aside.open("wb") as plain,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=plain, mtime=0) as stream,
    ):
        stream.write(image.to_bytes())
