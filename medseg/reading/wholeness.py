"""Whether a DICOM file holds the pixels it promises, seen without reading them."""

from __future__ import annotations

import os
import re
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

from medseg.dicom import require
from medseg.errors import InputRefused
from medseg.reading.decoders import packages_for

if TYPE_CHECKING:
    from pydicom import Dataset

MOST_FRAMES = 100_000  # of one object: a functional MR of an hour has half as many
_MOST_INFLATED = 1 << 31  # bytes; a deflated object comes into memory whole
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_RUN = 64  # bytes that two of run-length coding become at most (PS3.5 G.3.1)
_SURE = 1000  # times that a code stream of unknown size may grow
_BULK = {"OB", "OW", "OF", "OD", "UN"}  # their explicit element headers take 12 bytes, not 8
_UNDEFINED = 0xFFFFFFFF  # of compressed pixels only (PS3.5 A.4)
_ITEM = b"\xfe\xff\x00\xe0"  # the tag before each fragment of compressed pixels


def fault_of(dataset: Dataset, syntax: str, at: int, stream: BinaryIO) -> InputRefused | None:
    """Return why the pixels cannot be read, from sizes alone; None when they look whole."""
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

    rows, columns = require.whole(dataset, "Rows"), require.whole(dataset, "Columns")
    bits = require.whole(dataset, "BitsAllocated")
    if not (rows and columns and bits):
        return InputRefused("pixel-data-missing", "An image has no size: no rows or columns",
                            do="Export the series with its images")  # fmt: skip
    if undecodable := _no_decoder(syntax):
        return undecodable
    if _at_odds(dataset, bits):
        return InputRefused("pixels-undecodable", "The bits that an image says to be stored do not "
                            f"fit into the {bits} it takes", do="Export it again")  # fmt: skip
    frames = max(1, require.whole(dataset, "NumberOfFrames") or 1)
    samples = require.whole(dataset, "SamplesPerPixel") or 1
    if frames > MOST_FRAMES:
        return InputRefused("too-large", f"An object claims {frames} frames; {MOST_FRAMES} are "
                                         "the most", do="Export the series again")  # fmt: skip
    expected = (rows * columns * samples * frames * bits + 7) // 8
    if syntax == DeflatedExplicitVRLittleEndian:
        held = check_inflated(stream)  # with the header, so that a little too few are not seen
        return None if held >= expected else _too_few(held, expected)
    length, stored = pixel_length(stream, at, syntax)
    if length is None:
        words = "An image has no pixel data: its file ends before them"
        return InputRefused("pixel-data-missing", words, do="Export the series with its images")
    if UID(syntax).is_compressed:
        return _fault_of_fragments(stream, syntax, (rows, columns), frames, expected)
    if length == _UNDEFINED:
        words = "The pixel data have an undefined length although they are not compressed"
        return InputRefused("pixels-undecodable", words, do="Copy or export the series again")
    there = min(length, stored)
    return None if there >= expected else _too_few(there, expected)


def check_inflated(stream: BinaryIO) -> int:
    """Return the bytes that a deflated object has when inflated, 0 for any other.

    Raises
    ------
    InputRefused
        ``too-large``: it would not be wise to inflate it; ``file-damaged``: it cannot be.
    """
    stream.seek(0)
    meta = stream.read(1024)
    if _DEFLATED not in meta or meta[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        return 0
    stream.seek(144 + int.from_bytes(meta[140:144], "little"))
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while block := inflater.unconsumed_tail or stream.read(1 << 16):
        size += len(inflater.decompress(block, 1 << 20))
        if size > _MOST_INFLATED:
            raise InputRefused("too-large", "A deflated object has more than 2 GB when inflated",
                               do="Export the series uncompressed")  # fmt: skip
    if not inflater.eof:
        raise truncated("its deflated data break off")
    return size


def _too_few(there: int, expected: int) -> InputRefused:
    return truncated(f"{there} of {expected} bytes of pixel data are there")


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
                            f"The pixel data have the unknown form {_shown(syntax)}",
                            do="Export the series uncompressed")  # fmt: skip
    return InputRefused("decoder-missing", f"No decoder for {uid.name} ({syntax}) is installed",
                        do=f"pip install {packages_for(syntax)}")  # fmt: skip


def _at_odds(dataset: Dataset, allocated: int) -> bool:
    """Return whether Bits Stored and High Bit, where given, do not lie in Bits Allocated."""
    stored, high = require.whole(dataset, "BitsStored"), require.whole(dataset, "HighBit")
    if stored is None or stored == allocated:  # then no bit is masked, whatever High Bit says
        return stored is None and "BitsStored" in dataset
    if high is None:
        return not 0 < stored < allocated or "HighBit" in dataset
    return not 0 < stored <= high + 1 <= allocated


def _shown(syntax: str) -> str:
    """Return a syntax that the standard has given a number; any other text may be private."""
    ours = re.fullmatch(r"1\.2\.840\.10008\.1\.2[.\d]*", syntax)
    return syntax if ours else "of a private transfer syntax"


def pixel_length(stream: BinaryIO, at: int, syntax: str) -> tuple[int | None, int]:
    """Return the length that pixel data at an offset declare and the bytes that follow.

    The stream then stands at the first of them. None where no pixel data are.
    """
    stream.seek(at)
    head = stream.read(12)
    order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
    if len(head) < 8 or struct.unpack(order + "HH", head[:4]) != (0x7FE0, 0x0010):
        return None, 0
    # an implicit length would be odd there, which none is: so a wrong syntax does not mislead
    explicit = head[4:6].decode("latin1") in _BULK
    if explicit and len(head) < 12:
        return None, 0
    size = 12 if explicit else 8
    (length,) = struct.unpack(order + "I", head[size - 4 : size])
    stream.seek(at + size)
    return length, os.fstat(stream.fileno()).st_size - at - size


def _fault_of_fragments(
    stream: BinaryIO, syntax: str, size: tuple[int, int], frames: int, expected: int
) -> InputRefused | None:
    """Return why fragments from here on cannot be the frames: cut off, or of another size."""
    from pydicom.uid import RLELossless

    end, found, held = os.fstat(stream.fileno()).st_size, 0, 0
    while len(head := stream.read(8)) == 8 and head[:4] == _ITEM:
        (length,) = struct.unpack("<I", head[4:])
        start = stream.tell()
        if start + length > end:
            return truncated("its compressed pixel data break off")
        if found == 1:  # the item before it is an offset table
            coded = None if syntax == RLELossless else coded_size(stream, start + length)
        stream.seek(start + length)
        found, held = found + 1, held + length
    if found - 1 < frames:
        return truncated("its compressed pixel data break off")
    if coded is None and expected <= held * (_RUN if syntax == RLELossless else _SURE):
        return None
    if coded == size:
        return None
    said = "less" if coded is None else f"{coded[1]} x {coded[0]}"
    return InputRefused(
        "pixels-undecodable",
        f"The header claims {size[1]} x {size[0]} pixels, the compressed data hold {said}",
        do="Copy or export the series again",
    )


def coded_size(stream: BinaryIO, end: int) -> tuple[int, int] | None:
    """Return rows and columns as a JPEG, JPEG-LS or JPEG 2000 stream gives them, or None.

    They stand in the first SIZ segment (ISO 15444-1 A.5.1) or frame header (ISO 10918-1 B.2.2).
    """
    start = stream.read(24)
    if start[:4] == b"\xff\x4f\xff\x51" and len(start) == 24:
        right, bottom, left, top = struct.unpack(">4I", start[8:24])
        return (bottom - top, right - left)
    at = stream.tell() - len(start) + 2
    while start[:2] == b"\xff\xd8" and at < end:
        stream.seek(at)
        segment = stream.read(9)
        if len(segment) < 9 or segment[0] != 0xFF:
            return None
        kind, length = segment[1], int.from_bytes(segment[2:4], "big")
        if kind == 0xF7 or (0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC)):
            rows, columns = struct.unpack(">2H", segment[5:9])
            return (rows, columns)
        at += 1 if kind == 0xFF else 2 + length
    return None
