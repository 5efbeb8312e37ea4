"""NIfTI and Analyze files: where they lie, what is odd about them, and their values."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medseg.dicom.require import quiet
from medseg.errors import GeometryRefused, InputRefused
from medseg.findings import Finding
from medseg.geometry import Geometry, Shape

SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".img.gz", ".hdr.gz")
SAME_AFFINE_MM = 0.01  # at any corner; more and readers that prefer the qform go astray
_VECTORS = {1004, 1005, 1006, 1007, 1008, 1009, 1010}  # intent codes of what is no intensity
_TO_MM = {"meter": 1000.0, "micron": 0.001}
_GZ_SLACK = 4096  # bytes that may follow the voxels in an honest file


@dataclass(frozen=True, eq=False, slots=True)
class Nifti:
    """An opened file; voxels are still on the disk.

    ``volumes`` counts those along a fourth axis, 1 for a plain scan.
    """

    image: Any
    shape: Shape
    volumes: int
    geometry: Geometry
    findings: tuple[Finding, ...]


def is_nifti(path: Path) -> bool:
    """Return whether a name is that of a NIfTI or Analyze file, by itself or as a pair's head."""
    name = path.name.lower()
    if name.endswith((".img", ".img.gz")):
        return False  # found through its .hdr
    return name.endswith(SUFFIXES)


def opened(path: Path) -> Nifti:
    """Return a file's grid and findings from its header, and whether all its bytes are there.

    The affine is the sform when it has a code, else the qform, else the voxel sizes alone.

    Raises
    ------
    InputRefused
        ``nifti-damaged``, ``nifti-not-scalar``, ``zero-spacing``, ``file-truncated``,
        ``geometry-invalid``.
    """
    import nibabel

    with quiet(), _own_words():
        _check_packing(path)
        image: Any = nibabel.load(path, mmap=False)  # a mapped file may change under our hands
        if not isinstance(image, nibabel.AnalyzeImage):
            raise InputRefused("nifti-damaged", "The file is no NIfTI image")
        _check_scalar(image)
        findings = _check_sizes(image)
        shape, volumes = _shape_of(image)
        _check_whole(image)
        affine, more = _affine_of(image)
        try:
            geometry = Geometry(shape, affine)
        except GeometryRefused as refusal:
            raise InputRefused("geometry-invalid", refusal.found) from None
        return Nifti(image, shape, volumes, geometry,
                     (*findings, *more, *_check_forms(image, geometry)))  # fmt: skip


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
def _own_words() -> Iterator[None]:
    """Turn what nibabel raises on damage into a refusal without file names."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise _truncated("its compressed data break off") from None
    except InputRefused:
        raise
    except PermissionError:
        raise InputRefused("file-unreadable", "The file may not be read: permission denied",
                           do="Ask for access to it") from None  # fmt: skip
    except MemoryError:
        raise InputRefused("too-large", "The image does not fit into memory") from None
    except Exception as error:  # a damaged header raises whatever its parser happens to
        raise InputRefused("nifti-damaged",
                           f"The NIfTI file cannot be read ({type(error).__name__})",
                           do="Copy or convert it again") from None  # fmt: skip


def _truncated(words: str) -> InputRefused:
    return InputRefused("file-truncated", f"truncated file: {words}",
                        do="Copy or convert it again")  # fmt: skip


def _check_scalar(image: Any) -> None:
    dtype = image.get_data_dtype()
    kind = "colour (RGB)" if dtype.fields else "complex" if dtype.kind == "c" else ""
    intent = int(image.header["intent_code"]) if "intent_code" in image.header else 0
    if intent in _VECTORS:
        kind = "vector (its intent code says so)"
    if kind:
        raise InputRefused("nifti-not-scalar", f"The voxels hold {kind} values",
                           do="Give an image with one number a voxel")  # fmt: skip


def _check_sizes(image: Any) -> list[Finding]:
    """Refuse voxel sizes of 0, which nibabel would quietly make 1; tell of negative ones."""
    holder = image.file_map.get("header", image.file_map["image"])  # a pair has both
    with holder.get_prepare_fileobj("rb") as stream:
        raw = type(image.header).from_fileobj(stream, check=False)
    sizes = np.asarray(raw["pixdim"][1:4], float)[: max(1, min(3, int(raw["dim"][0])))]
    if not np.isfinite(sizes).all() or (sizes == 0).any():
        said = " x ".join(f"{size:g}" for size in sizes)
        raise InputRefused("zero-spacing", f"zero spacing: the voxel size is given as {said} mm",
                           do="Correct the header or convert the image again")  # fmt: skip
    if (sizes < 0).any():
        return [
            Finding("warning", "spacing-negative", "A negative voxel size was taken as positive")
        ]
    return []


def _shape_of(image: Any) -> tuple[Shape, int]:
    shape = tuple(int(n) for n in image.shape)
    if len(shape) < 2 or min(shape) < 1 or any(n > 1 for n in shape[4:]):
        said = " x ".join(map(str, shape))
        raise InputRefused("nifti-not-scalar", f"An image of {said} voxels is no volume",
                           do="Give an image of three axes")  # fmt: skip
    i, j, k, volumes, *_ = (*shape, 1, 1)
    return (i, j, k), volumes


def _check_whole(image: Any) -> None:
    path = Path(image.file_map["image"].filename)
    start = int(image.header.get_data_offset())
    voxels = int(np.prod(image.shape, dtype=object)) * image.get_data_dtype().itemsize
    expected, size = start + voxels, path.stat().st_size
    if path.suffix.lower() == ".gz":
        size = _unpacked_size(path, expected)
    if size < expected:
        raise _truncated(f"{max(0, size - start)} of {voxels} bytes of voxels are there")


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
        words = "The file does not say how it lies in the patient: left and right are a guess"
        findings.append(Finding("warning", "no-orientation", words))
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


def chosen_volume(nifti: Nifti, volume: int | None) -> int:
    """Return which volume along the fourth axis to read.

    Raises
    ------
    InputRefused
        ``several-volumes``: there are more and none was asked for; ``volume-invalid``: there
        is no such one.
    """
    if volume is None and nifti.volumes > 1:
        raise InputRefused(*several_volumes(nifti.volumes), do="Ask for one of them by its number")
    if not 0 <= (volume or 0) < nifti.volumes:
        raise InputRefused("volume-invalid", f"There is no volume {volume}: they run from 0 to "
                                             f"{nifti.volumes - 1}")  # fmt: skip
    return volume or 0


def several_volumes(count: int) -> tuple[str, str]:
    """Return the code and words for a file of several volumes."""
    words = f"more than one volume: the file holds {count} along its fourth axis, from 0 to "
    return "several-volumes", f"{words}{count - 1}"


def raw_values(nifti: Nifti, volume: int | None = None) -> np.ndarray:
    """Return the voxels ``(I, J, K)`` in their own type, or scaled where the header says so."""
    n = chosen_volume(nifti, volume)
    with quiet(), _own_words(), _proven(nifti.image) as image:
        data = image.dataobj
        if nifti.volumes > 1:
            data = data[(slice(None),) * 3 + (n,)]
        return np.asarray(data).reshape(nifti.shape, order="F")


@contextmanager
def _proven(image: Any) -> Iterator[Any]:
    """Give an image whose compressed file is read to its end, where its check sum stands.

    nibabel stops after the last voxel: a flipped bit would be read as it is.
    """
    from nibabel.fileholders import FileHolder

    path = Path(image.file_map["image"].filename)
    if path.suffix.lower() != ".gz":
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


def scan_values(nifti: Nifti, volume: int | None = None) -> tuple[np.ndarray, list[Finding]]:
    """Return the voxels as a float32 array ``(I, J, K)``, NaN and inf made the least true value.

    Raises
    ------
    InputRefused
        ``not-finite``: there is no finite value at all; and those of :func:`chosen_volume`.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and so treated
        array = raw_values(nifti, volume).astype(np.float32)
    finite = np.isfinite(array)
    lost = array.size - int(np.count_nonzero(finite))
    if not lost:
        return array, []
    if lost == array.size:
        raise InputRefused("not-finite", "Every voxel is NaN or infinite",
                           do="Convert the image again")  # fmt: skip
    least = array[finite].min()
    array[~finite] = least
    words = f"{lost} of {array.size} voxels are NaN or infinite and were set to {least:g}"
    return array, [Finding("warning", "not-finite", words)]
