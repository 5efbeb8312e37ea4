"""NRRD and MetaImage files by way of SimpleITK, which is given only headers that were checked."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from medseg.dicom.space import affine_from
from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.reading.image_file import (
    ImageFile,
    check_spacing,
    cut_off,
    grid,
    no_orientation,
    not_scalar,
    shape_and_volumes,
)
from medseg.silence import silence

LONGEST_HEADER = 1 << 20  # bytes; those of diffusion scans with all their directions take a tenth
LEAST_BYTES = {"raw": 1.0, "hex": 2.0, "text": 1 / 8, "gzip": 1 / 1032}
"""Bytes on the disk for one of voxels, at least; 1032 is the limit of deflate (zlib manual)."""
_BLOCK = 1 << 16  # bytes unpacked at a time, so that a bomb takes no more than 66 MB


@dataclass(frozen=True, slots=True)
class TextHeader:
    """What the text of a header says beside what SimpleITK makes of it.

    Attributes
    ----------
    path, data : Path
        The header's file, and that of the voxels, mostly the same.
    start : int
        Where in ``data`` the voxels begin at the earliest.
    encoding : str
        How they are stored, of :data:`LEAST_BYTES`.
    placed : bool
        Whether it says how the image lies in the patient.
    axes : str
        The space in which SimpleITK gives the affine.
    to_mm : float
        The length of its unit, which SimpleITK does not look at.
    listed : bool
        Whether the components of a voxel are volumes of their own.
    packed : int
        Length of the compressed voxels where the header gives it.
    """

    path: Path
    data: Path
    start: int
    encoding: str
    placed: bool
    axes: str = "LPS"
    to_mm: float = 1.0
    listed: bool = False
    packed: int = 0


def head_of(path: Path) -> bytes:
    """Return the beginning of a file, in which its header must lie."""
    try:
        with path.open("rb") as stream:
            return stream.read(LONGEST_HEADER)
    except OSError as error:
        words = (error.strerror or type(error).__name__).lower()
        raise InputRefused("file-unreadable", f"The file may not be read: {words}",
                           do="Ask for access to it, or check the disk") from None  # fmt: skip


def lines_of(head: bytes) -> list[str]:
    """Return the lines of a header; no other line end is let through than SimpleITK knows."""
    lines = [line.removesuffix(b"\r") for line in head.split(b"\n")]
    if any(b"\r" in line for line in lines):
        raise damaged("a line ends with a carriage return alone")
    return [line.decode("utf-8", "surrogateescape") for line in lines]


def damaged(why: str) -> InputRefused:
    """Return the refusal of a header that cannot be trusted."""
    return InputRefused("file-damaged", f"The header is damaged: {why}",
                        do="Copy or convert the file again")  # fmt: skip


def data_file(header: Path, name: str) -> Path:
    """Return the file that a header names for its voxels; it must lie in the header's folder.

    Raises
    ------
    InputRefused
        ``data-file-outside``: a header must not make us read what it was not given with;
        ``data-file-several``; ``data-file-missing``.
    """
    if name.startswith("LIST") or "%" in name:
        raise InputRefused("data-file-several", "The header takes its voxels from several files",
                           do="Convert it to one file")  # fmt: skip
    parts = PureWindowsPath(name)  # it knows both kinds of slashes
    if parts.anchor or ".." in parts.parts:
        raise InputRefused(
            "data-file-outside",
            "The header takes its voxels from a file outside its own folder",
            do="Put header and data into one folder and correct the name in the header",
        )
    data = header.parent / name
    if not data.is_file():
        raise InputRefused("data-file-missing", "The file of the voxels is not beside the header",
                           do="Give header and data file together")  # fmt: skip
    return data


def image_file(io: str, header: TextHeader) -> ImageFile:
    """Return the grid of an image and whether its bytes are there, without reading voxels.

    Parameters
    ----------
    io : str
        ITK's name of the reader, so that no other one looks at the file.
    header : TextHeader
        From the same file.

    Raises
    ------
    InputRefused
        ``decoder-missing``, ``file-damaged``, ``nifti-not-scalar``, ``zero-spacing``,
        ``file-truncated``, ``geometry-invalid``.
    """
    with _simpleitk() as itk:
        reader = _reader(itk, io, header)
        kind = itk.GetPixelIDValueAsString(reader.GetPixelID())
        components = reader.GetNumberOfComponents()
        sizes = tuple(map(int, reader.GetSize()))
        affine = _affine(reader)
    if components > 1 and not header.listed:
        raise not_scalar("vector, colour or complex")
    shape, volumes = shape_and_volumes((*sizes, components) if header.listed else sizes)
    with np.errstate(over="ignore"):  # a length beyond all numbers is refused as infinite
        check_spacing(np.linalg.norm(affine[:3, :3], axis=0))
    size = int(np.prod(sizes, dtype=object)) * components * _bytes_of(kind)
    _check_whole(header, size)
    affine[:3] *= header.to_mm
    geometry = grid(shape, affine_from(header.axes, affine))
    findings = []
    if not header.placed or len(sizes) < 3:
        findings.append(no_orientation())
    if header.to_mm != 1:
        words = f"Lengths in units of {header.to_mm:g} mm were made mm"
        findings.append(Finding("info", "units-converted", words))
    files = tuple(dict.fromkeys((header.path, header.data)))
    load = partial(_volume, io, header, shape, size)
    return ImageFile(files, geometry, volumes, tuple(findings), load)


@contextmanager
def _simpleitk() -> Iterator[Any]:
    """Give SimpleITK, silenced: what it prints and raises quotes paths; we have our own words."""
    try:
        import SimpleITK
    except ImportError:
        raise InputRefused("decoder-missing", "SimpleITK, which reads this form, is not installed",
                           do="pip install 'medseg[formats]'") from None  # fmt: skip
    try:
        with silence():
            yield SimpleITK
    except RuntimeError as error:
        if "allocat" in str(error):
            raise InputRefused("too-large", "The image does not fit into memory") from None
        raise damaged("SimpleITK cannot read the image") from None


def _reader(itk: Any, io: str, header: TextHeader) -> Any:
    reader = itk.ImageFileReader()
    reader.SetImageIO(io)
    reader.SetFileName(str(header.path))
    reader.ReadImageInformation()
    return reader


def _affine(reader: Any) -> np.ndarray:
    """Return index to place as ITK has it, of the first three axes."""
    n = reader.GetDimension()
    axes = min(n, 3)
    affine = np.eye(4)
    direction = np.reshape(reader.GetDirection(), (n, n))[:axes, :axes]
    affine[:axes, :axes] = direction * reader.GetSpacing()[:axes]
    affine[:axes, 3] = reader.GetOrigin()[:axes]
    return affine


def _bytes_of(kind: str) -> int:
    """Return the size of a number from ITK's words: "vector of 16-bit signed integer"."""
    bits = next((word for word in kind.split() if word.endswith("-bit")), "8-bit")
    return int(bits.removesuffix("-bit")) // 8


def _check_whole(header: TextHeader, size: int) -> None:
    there = max(0, header.data.stat().st_size - header.start)
    least = max(header.packed, int(size * LEAST_BYTES[header.encoding]))
    if there < least:
        raise cut_off(f"{there} of {least} bytes of voxels are there")


def _volume(
    io: str, header: TextHeader, shape: tuple[int, ...], size: int, volume: int
) -> np.ndarray:
    """Return one volume ``(I, J, K)``; only that one is read where it can be."""
    if header.packed:
        _check_unpacks(header, size)
    try:
        with _simpleitk() as itk:
            reader = _reader(itk, io, header)
            if reader.GetDimension() > 3:
                rest = reader.GetDimension() - 4
                reader.SetExtractSize([*reader.GetSize()[:3], 0, *[0] * rest])
                reader.SetExtractIndex([0, 0, 0, volume, *[0] * rest])
            array = itk.GetArrayFromImage(reader.Execute())  # (K, J, I) or (K, J, I, C)
    except InputRefused as refusal:
        if refusal.code == "file-damaged" and header.encoding != "raw":
            raise cut_off("its voxels break off or are damaged") from None
        raise
    component = volume if header.listed else 0
    return np.asarray(array.reshape(*shape[::-1], -1)[..., component].T)


def _check_unpacks(header: TextHeader, size: int) -> None:
    """Refuse compressed voxels that are not whole: MetaIO fills the rest with chance values."""
    unpacking, left, found = zlib.decompressobj(zlib.MAX_WBITS + 32), header.packed, 0
    try:
        with header.data.open("rb") as stream:
            stream.seek(header.start)
            while left > 0 and (block := stream.read(min(left, _BLOCK))):
                left -= len(block)
                found += len(unpacking.decompress(block))
    except zlib.error:
        found = -1
    if found != size or not unpacking.eof:
        raise cut_off("its compressed voxels break off or are damaged")
