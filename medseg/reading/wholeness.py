"""Whether a DICOM file holds the pixels it promises, seen without reading them."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, BinaryIO

from medseg.dicom import require
from medseg.errors import InputRefused
from medseg.reading.decoders import packages_for

if TYPE_CHECKING:
    from pydicom import Dataset

_BULK = {"OB", "OW", "OF", "OD", "UN"}  # their explicit element headers take 12 bytes, not 8
_ITEM = b"\xfe\xff\x00\xe0"  # the tag before each fragment of compressed pixels


def fault_of(dataset: Dataset, syntax: str, at: int, stream: BinaryIO) -> InputRefused | None:
    """Return why the pixels cannot be read, from sizes alone; None when they look whole."""
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

    rows, columns = require.whole(dataset, "Rows"), require.whole(dataset, "Columns")
    bits = require.whole(dataset, "BitsAllocated")
    if not (rows and columns and bits):
        return InputRefused("pixel-data-missing", "An image has no size: no rows or columns",
                            do="Export the series with its images")  # fmt: skip
    undecodable = _no_decoder(syntax)
    if undecodable or syntax == DeflatedExplicitVRLittleEndian:
        return undecodable  # inside a deflated stream no sizes can be seen
    frames = require.whole(dataset, "NumberOfFrames") or 1
    samples = require.whole(dataset, "SamplesPerPixel") or 1
    length, stored = _pixel_length(stream, at, syntax)
    if length is None:
        words = "An image has no pixel data: its file ends before them"
        return InputRefused("pixel-data-missing", words, do="Export the series with its images")
    if UID(syntax).is_compressed:
        whole = _whole_fragments(stream, frames)
        return None if whole else truncated("its compressed pixel data break off")
    expected = (rows * columns * samples * frames * bits + 7) // 8
    there = min(length, stored)
    if there < expected:
        return truncated(f"{there} of {expected} bytes of pixel data are there")
    return None


def truncated(words: str) -> InputRefused:
    """Return the refusal of a file that was cut off."""
    return InputRefused("file-truncated", f"truncated file: {words}",
                        do="Copy or export the series again")  # fmt: skip


def _no_decoder(syntax: str) -> InputRefused | None:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    uid = UID(syntax)
    try:
        if get_decoder(uid).is_available:
            return None
    except NotImplementedError:
        return InputRefused("transfer-syntax-unknown",
                            f"The pixel data have the unknown form {syntax}",
                            do="Export the series uncompressed")  # fmt: skip
    return InputRefused("decoder-missing", f"No decoder for {uid.name} ({syntax}) is installed",
                        do=f"pip install {packages_for(syntax)}")  # fmt: skip


def _pixel_length(stream: BinaryIO, at: int, syntax: str) -> tuple[int | None, int]:
    """Return the length that pixel data at an offset declare and the bytes that follow."""
    stream.seek(at)
    head = stream.read(12)
    order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
    if len(head) < 8 or struct.unpack(order + "HH", head[:4]) != (0x7FE0, 0x0010):
        return None, 0
    explicit = syntax != "1.2.840.10008.1.2" and head[4:6].decode("latin1") in _BULK
    if explicit and len(head) < 12:
        return None, 0
    size = 12 if explicit else 8
    (length,) = struct.unpack(order + "I", head[size - 4 : size])
    stream.seek(at + size)
    return length, os.fstat(stream.fileno()).st_size - at - size


def _whole_fragments(stream: BinaryIO, frames: int) -> bool:
    """Return whether the fragments from here on lie inside the file and suffice."""
    size, fragments = os.fstat(stream.fileno()).st_size, -1  # the first item is an offset table
    while len(head := stream.read(8)) == 8 and head[:4] == _ITEM:
        (length,) = struct.unpack("<I", head[4:])
        if stream.tell() + length > size:
            return False
        stream.seek(length, os.SEEK_CUR)
        fragments += 1
    return fragments >= frames
