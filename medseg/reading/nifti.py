"""NIfTI and Analyze files: where they lie, and what is odd about them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medseg.dicom.require import quiet
from medseg.errors import GeometryRefused, InputRefused
from medseg.findings import Finding
from medseg.geometry import Geometry
from medseg.reading.image_file import (
    ImageFile,
    check_spacing,
    cut_off,
    grid,
    no_orientation,
    not_scalar,
    shape_and_volumes,
)

SUFFIXES = (".nii", ".nii.gz", ".hdr", ".hdr.gz")  # an .img is found through its .hdr
SAME_AFFINE_MM = 0.01  # at any corner; more and readers that prefer the qform go astray
_VECTORS = {1004, 1005, 1006, 1007, 1008, 1009, 1010}  # intent codes of what is no intensity
_TO_MM = {"meter": 1000.0, "micron": 0.001}
_DAMAGED = ("nifti-damaged", "NIfTI")
_GZ_SLACK = 4096  # bytes that may follow the voxels in an honest file


def opened(path: Path) -> ImageFile:
    """Return a file's grid and findings from its header, and whether all its bytes are there.

    The affine is the sform when it has a code, else the qform, else the voxel sizes alone.

    Raises
    ------
    InputRefused
        ``nifti-damaged``, ``nifti-not-scalar``, ``zero-spacing``, ``file-truncated``,
        ``geometry-invalid``.
    """
    import nibabel

    with quiet(), own_words(_DAMAGED):
        _check_packing(path)
        image: Any = nibabel.load(path, mmap=False)  # a mapped file may change under our hands
        if not isinstance(image, nibabel.AnalyzeImage):
            raise InputRefused("nifti-damaged", "The file is no NIfTI image")
        _check_scalar(image)
        findings = _check_sizes(image)
        shape, volumes = shape_and_volumes(tuple(map(int, image.shape)))
        check_whole(image)
        affine, more = _affine_of(image)
        geometry = grid(shape, affine)
        findings += [*more, *_check_forms(image, geometry)]
    files = tuple(dict.fromkeys((path, Path(image.file_map["image"].filename))))
    load = partial(volume_of, image, geometry, volumes, _DAMAGED)
    return ImageFile(files, geometry, volumes, tuple(findings), load, image.header)


def volume_of(
    image: Any, geometry: Geometry, volumes: int, damaged: tuple[str, str], volume: int
) -> np.ndarray:
    """Return one volume ``(I, J, K)`` of an image that nibabel has opened."""
    with quiet(), own_words(damaged), _proven(image) as proven:
        data = proven.dataobj
        if volumes > 1:
            data = data[(slice(None),) * 3 + (volume,)]
        return np.asarray(data).reshape(geometry.shape, order="F")


def _check_packing(path: Path) -> None:
    """Refuse a name that says compressed of what is not, or the other way round."""
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    named = path.suffix.lower() == ".gz"
    if packed and not named:
        raise InputRefused("nifti-damaged", "The file is compressed, but its name does not say so",
                           do="Add .gz to its name")  # fmt: skip
    if named and not packed:
        raise InputRefused("nifti-damaged", "The file is not compressed, but its name says so",
                           do="Take .gz off its name, or copy it again")  # fmt: skip


@contextmanager
def own_words(damaged: tuple[str, str]) -> Iterator[None]:
    """Turn what nibabel raises on damage into a refusal, with this code and name of the form."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise cut_off("its compressed data break off") from None
    except InputRefused:
        raise
    except PermissionError:
        raise InputRefused("file-unreadable", "The file may not be read: permission denied",
                           do="Ask for access to it") from None  # fmt: skip
    except MemoryError:
        raise InputRefused("too-large", "The image does not fit into memory") from None
    except Exception as error:  # a damaged header raises whatever its parser happens to
        code, form = damaged
        raise InputRefused(code, f"The {form} file cannot be read ({type(error).__name__})",
                           do="Copy or convert it again") from None  # fmt: skip


def _check_scalar(image: Any) -> None:
    dtype = image.get_data_dtype()
    kind = "colour (RGB)" if dtype.fields else "complex" if dtype.kind == "c" else ""
    intent = int(image.header["intent_code"]) if "intent_code" in image.header else 0
    if intent in _VECTORS:
        kind = "vector (its intent code says so)"
    if kind:
        raise not_scalar(kind)


def _check_sizes(image: Any) -> list[Finding]:
    """Refuse voxel sizes of 0, which nibabel would quietly make 1; tell of negative ones."""
    holder = image.file_map.get("header", image.file_map["image"])  # a pair has both
    with holder.get_prepare_fileobj("rb") as stream:
        raw = type(image.header).from_fileobj(stream, check=False)
    sizes = np.asarray(raw["pixdim"][1:4], float)[: max(1, min(3, int(raw["dim"][0])))]
    check_spacing(sizes)
    if (sizes < 0).any():
        return [
            Finding("warning", "spacing-negative", "A negative voxel size was taken as positive")
        ]
    return []


def check_whole(image: Any) -> None:
    """Refuse a file that holds fewer bytes than its voxels take (``file-truncated``)."""
    path = Path(image.file_map["image"].filename)
    start = int(image.header.get_data_offset())
    voxels = int(np.prod(image.shape, dtype=object)) * image.get_data_dtype().itemsize
    expected, size = start + voxels, path.stat().st_size
    if path.suffix.lower() in (".gz", ".mgz"):
        size = _unpacked_size(path, expected)
    if size < expected:
        raise cut_off(f"{max(0, size - start)} of {voxels} bytes of voxels are there")


def _unpacked_size(path: Path, expected: int) -> int:
    """Return the length of a gz file's content: its last four bytes, proven when they look odd."""
    with path.open("rb") as stream:
        stream.seek(-4, 2)
        said = int.from_bytes(stream.read(4), "little")
    if 0 <= said - expected % 2**32 <= _GZ_SLACK:
        return expected
    size = 0
    with gzip.open(path) as unpacked:
        for block in _blocks_to_end(unpacked):
            size += block
            if size >= expected:
                break
    return size


def _affine_of(image: Any) -> tuple[np.ndarray, list[Finding]]:
    header, affine = image.header, np.array(image.affine, dtype=float)
    findings = []
    coded = "sform_code" in header and bool(header["sform_code"] > 0 or header["qform_code"] > 0)
    if not coded:
        findings.append(no_orientation())
    unit = header.get_xyzt_units()[0] if hasattr(header, "get_xyzt_units") else "mm"
    if unit in _TO_MM:
        affine[:3] *= _TO_MM[unit]
        findings.append(Finding("info", "units-converted", f"Lengths in {unit}s were made mm"))
    return affine, findings


def _check_forms(image: Any, geometry: Geometry) -> list[Finding]:
    """Tell when sform and qform place the image differently: other programs take the qform."""
    header = image.header
    if "sform_code" not in header or not (header["sform_code"] > 0 and header["qform_code"] > 0):
        return []
    try:
        other = Geometry(geometry.shape, image.get_qform())
        apart = np.abs(Geometry(geometry.shape, image.get_sform()).corners - other.corners).max()
    except (ValueError, GeometryRefused):
        return [Finding("warning", "affines-differ", "The qform is no rotation; the sform is used")]
    if apart <= SAME_AFFINE_MM:
        return []
    words = f"sform and qform place the image up to {apart:.2f} mm apart; the sform is used"
    return [Finding("warning", "affines-differ", words)]


@contextmanager
def _proven(image: Any) -> Iterator[Any]:
    """Give an image whose compressed file is read to its end, where its check sum stands.

    nibabel stops after the last voxel: a flipped bit would be read as it is.
    """
    from nibabel.fileholders import FileHolder

    path = Path(image.file_map["image"].filename)
    if path.suffix.lower() not in (".gz", ".mgz"):
        yield image
        return
    with gzip.open(path) as stream:
        yield type(image).from_file_map({**image.file_map, "image": FileHolder(fileobj=stream)})
        for _ in _blocks_to_end(stream):
            pass


def _blocks_to_end(stream: gzip.GzipFile) -> Iterator[int]:
    """Read on to where the check sum is compared and yield the sizes of what is met.

    Junk after a sound end does no harm; gzip itself passes over zeros there.
    """
    try:
        while block := stream.read1(1 << 20):
            yield len(block)
    except (gzip.BadGzipFile, zlib.error) as error:
        if "Not a gzipped file" not in str(error):
            raise InputRefused("nifti-damaged",
                               "The compressed data are damaged: the check sum is wrong",
                               do="Copy or convert the file again") from None  # fmt: skip
