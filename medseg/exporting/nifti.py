"""Label maps and volumes as NIfTI, in the place where every reader expects them."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from medseg.errors import OutputFailed
from medseg.files import whole_file
from medseg.findings import Finding
from medseg.geometry import Geometry
from medseg.result import Result
from medseg.volume import LabelMap, Source, Volume

SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT: the affine is that of the scanner
QFORM_MM = 0.01  # a qform that strays further than this from the sform is not written
COMPRESSION = 1  # a mask of 512 x 512 x 134 in 0.05 s; 9 is six times slower and little smaller
MOST_EXACT = 2**24  # the last whole number up to which float32 holds every one
_PLACE = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x",
          "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z")  # fmt: skip


def export_mask(result: Result, path: Path) -> tuple[bool, tuple[Finding, ...]]:
    """Write the mask of a result, whole and verified."""
    with whole_file(path) as aside:
        write(result.labels, aside, result.volume)
        verify(aside, result.labels)
    return True, ()


def export_probabilities(result: Result, path: Path) -> tuple[bool, tuple[Finding, ...]]:
    """Write the class probabilities of a result, 4-D, whole and verified, if there are any."""
    if result.probabilities is None:
        words = "The probabilities were not kept; ask for them when segmenting"
        return False, (Finding("warning", "probabilities-missing", words),)
    volume = result.volume.moved(result.probabilities, result.labels.geometry)
    with whole_file(path) as aside:
        write_volume(volume, aside)
        _compare(aside, volume.array, volume.geometry)
    return True, ()


def export_volume(volume: Volume, path: Path) -> None:
    """Write a scan, whole and verified, in the smallest type that holds every value exactly.

    That is int16, uint16 or int32 where all values are whole numbers, as those of CT and MR
    mostly are, and float32 otherwise; slope 1, intercept 0.
    """
    stored = _exact(volume.array)
    with whole_file(path) as aside:
        _save(stored, volume.geometry, aside, volume.source)
        _compare(aside, stored, volume.geometry)


def _exact(array: np.ndarray) -> np.ndarray:
    """Return the values in an integer type if nothing is lost by it."""
    low, high = float(array.min()), float(array.max())
    for dtype in (np.int16, np.uint16, np.int32):
        if np.iinfo(dtype).min <= low and high <= min(np.iinfo(dtype).max, MOST_EXACT):
            whole = all(np.array_equal(plane, np.rint(plane)) for plane in array.T)
            return array.astype(dtype) if whole else array
    return array


def write(labels: LabelMap, path: Path, like: Volume | None = None) -> None:
    """Write a label map with its affine, millimetres, and nothing about the patient.

    Parameters
    ----------
    labels : LabelMap
        Written as uint8 where all values fit, else uint16; slope 1, intercept 0.
    path : Path
        Ends in ``.nii.gz`` or ``.nii``. Equal label maps give equal bytes.
    like : Volume, optional
        The scan. Where it came from NIfTI and the grid is the same, its sform and qform are
        copied bit for bit, so that any reader puts the mask where it puts the scan, even one
        that prefers the other of the two. Otherwise both are set from the affine with code 1;
        a grid that no qform can express (sheared) gets the sform alone.

    Raises
    ------
    OutputFailed
        ``labels-too-large``: a value above 65535.
    """
    highest = max(int(labels.array.max()), *labels.labels.values)
    if highest > np.iinfo(np.uint16).max:
        raise OutputFailed("labels-too-large", f"Label {highest} does not fit 16 bits",
                           do="Number the labels from 1")  # fmt: skip
    dtype = np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16
    source = like.source if like is not None else None
    _save(labels.array.astype(dtype, copy=False), labels.geometry, path, source)


def write_volume(volume: Volume, path: Path) -> None:
    """Write an image ``(I, J, K)`` or ``(I, J, K, C)`` as float32, placed as :func:`write` does."""
    _save(volume.array.astype(np.float32, copy=False), volume.geometry, path, volume.source)


def verify(path: Path, labels: LabelMap) -> None:
    """Read a mask back and compare type, every voxel and the place of every corner.

    Raises
    ------
    OutputFailed
        ``verify-failed``: what was read is not what was meant.
    """
    _compare(path, labels.array, labels.geometry)


def _save(array: np.ndarray, geometry: Geometry, path: Path, source: Source | None) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1, 0)
    _place(header, geometry)
    if source is not None and source.form == "nifti":
        _copy_place(header, source.header, geometry)
    # Without an affine of its own nibabel takes that of the header and leaves its codes alone.
    image = nib.Nifti1Image(array, None, header)
    with path.open("wb") as raw:
        if path.suffix != ".gz":
            image.to_stream(raw)
            return
        with gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as packed:  # no name, no time
            image.to_stream(packed)


def _place(header: nib.Nifti1Header, geometry: Geometry) -> None:
    header.set_sform(geometry.affine, SCANNER)
    header.set_qform(geometry.affine, SCANNER)
    straight = Geometry(geometry.shape, header.get_qform())
    if not straight.same_as(geometry, QFORM_MM):
        header["qform_code"] = 0


def _copy_place(header: nib.Nifti1Header, source: nib.Nifti1Header, geometry: Geometry) -> None:
    """Take sform, qform and their codes from the source if they say the same as the grid."""
    if not np.allclose(source.get_best_affine(), geometry.affine, rtol=0, atol=1e-6):
        return  # another grid, or one that reading had to mend
    for name in _PLACE:
        header[name] = source[name]
    header["pixdim"][:4] = source["pixdim"][:4]


def _compare(path: Path, array: np.ndarray, geometry: Geometry) -> None:
    try:
        image = nib.Nifti1Image.from_filename(path)
        read = np.asanyarray(image.dataobj)
        place = Geometry(geometry.shape, image.affine)
    except (EOFError, ValueError, ImageFileError, zlib.error) as error:
        raise _differs(path, "it cannot be read") from error
    if read.shape != array.shape or read.dtype.kind != array.dtype.kind:
        raise _differs(path, f"{read.dtype} {read.shape} in place of {array.dtype} {array.shape}")
    if not np.array_equal(read, array):
        raise _differs(path, f"{np.count_nonzero(read != array)} voxels differ")
    if not place.same_as(geometry):
        moved = float(np.abs(place.corners - geometry.corners).max())
        raise _differs(path, f"a corner moved by {moved:.4f} mm")


def _differs(path: Path, how: str) -> OutputFailed:
    name = path.name.split(".part.")[-1]  # the final name, not the temporary one
    return OutputFailed("verify-failed", f"{name} did not read back as it was written: {how}",
                        do="Write it again; if that fails too, check the disk")  # fmt: skip
