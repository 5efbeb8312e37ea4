"""Ways to damage a file: bytes, lengths and types of elements, values, structure."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from tests.fuzz.good import MARKER

Mutation = Callable[[bytes, random.Random], bytes]

_META = 132  # bytes of preamble and prefix
_ABSURD: dict[str, tuple[bytes, ...]] = {
    "text": (b"", b"\\", b"\\\\\\", b"nan", b"inf", b"-inf", b"1e400", b"-1e308", b"1e38",
             b"1e-300", b"0", b"-0.0", b"-1", b"0.5", b"1,5", b"2147483648", b"9" * 20, b"60000",
             b"1\\2\\3\\4\\5\\6\\7", b"0\\0\\0\\0\\0\\0", b"0\\0\\0", b"0\\0",
             b"1e30\\1e30", b"1e30\\1e30\\1e30", b"nan\\nan\\nan", b"9" * 400, b"\xff\xfe\xfd",
             b"\0\0", b"\x1b$B", b"a\nb", MARKER.encode()),
    "binary": (b"", b"\0", b"\0\0", b"\1\0", b"\xff\xff", b"\x60\xea", b"\0\x80", b"\x10\0",
               b"\x0c\0", b"\x08\0", b"\x40\0", b"\xff" * 4, b"\0\0\0\0", b"\1\2\3",
               b"\0\0\xc0\x7f" * 2, b"\xff" * 8),
}  # fmt: skip
_BINARY = {"US", "SS", "UL", "SL", "FL", "FD", "AT", "OB", "OW", "UN", "US or SS", "SV", "UV"}
_WANTED = (  # what a reader acts on, so what is damaged more often than chance would
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "SamplesPerPixel", "NumberOfFrames", "PixelSpacing", "ImagePositionPatient",
    "ImageOrientationPatient", "SliceThickness", "RescaleSlope", "RescaleIntercept", "ImageType",
    "PhotometricInterpretation", "SpecificCharacterSet", "PixelPaddingValue", "SOPClassUID",
    "SeriesInstanceUID", "StudyInstanceUID", "PixelData", "LUTDescriptor", "LUTData", "EchoTime",
    "PixelPaddingRangeLimit", "SegmentNumber", "ReferencedSegmentNumber", "SegmentSequence",
    "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "SeriesNumber",
    "PlanarConfiguration", "ModalityLUTSequence", "SegmentationType", "InstanceNumber",
)  # fmt: skip
_SYNTAXES = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.100", "1.2.3", "", MARKER, "1.2.840.10008.1.1",
)  # fmt: skip


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with a few of them changed."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def header_flipped(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with some of the first few hundred changed, where headers lie."""
    start = _META if data[128:132] == b"DICM" else 0
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 5))):
        changed[rng.randrange(start, min(len(data), start + 400))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncated(data: bytes, rng: random.Random) -> bytes:
    """Return a beginning, or all but a few bytes at the end."""
    return data[: rng.choice((rng.randrange(len(data)), len(data) - rng.randrange(1, 50)))]


def junk_inserted(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with random ones, or the marker, put in somewhere or at the end."""
    at = rng.choice((rng.randrange(len(data)), len(data)))
    junk = rng.choice((rng.randbytes(rng.randrange(1, 40)), MARKER.encode(), bytes(16)))
    return data[:at] + junk + data[at:]


def part_lost(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes without a part from their middle."""
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randrange(1, 60) :]


def part_repeated(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with a part of them twice."""
    at, size = rng.randrange(len(data)), rng.randrange(1, 300)
    return data[: at + size] + data[at:]


def part_blank(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with a part made zeros or ones, as lost sectors are."""
    at, size = rng.randrange(len(data)), rng.randrange(1, 100)
    return (data[:at] + rng.choice((b"\0", b"\xff")) * size + data[at + size :])[: len(data)]


BYTES: tuple[Mutation, ...] = (
    flipped, header_flipped, truncated, junk_inserted, part_lost, part_repeated, part_blank,
)  # fmt: skip


def _parsed(data: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(data), force=True)


def _written(ds: Dataset) -> bytes:
    stream = BytesIO()
    pydicom.dcmwrite(stream, ds, enforce_file_format=False)
    return stream.getvalue()


def _all_items(ds: Dataset) -> Iterator[Dataset]:
    yield ds
    for element in list(ds):
        if element.VR == "SQ":
            for item in element.value:
                yield from _all_items(item)


def _some_element(ds: Dataset, rng: random.Random) -> tuple[Dataset, Tag]:
    """Return a data set, nested or not, and the tag of an element that a reader cares for."""
    items = list(_all_items(ds))
    wanted = [(item, item[keyword].tag) for item in items for keyword in _WANTED if keyword in item]
    if wanted and rng.random() < 0.8:
        return rng.choice(wanted)
    item = rng.choice([one for one in items if len(one)])
    return item, rng.choice(list(item.keys()))


def tag_lost(data: bytes, rng: random.Random) -> bytes:
    """Return the file without one to three of its elements."""
    ds = _parsed(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        item, tag = _some_element(ds, rng)
        del item[tag]
    return _written(ds)


def value_absurd(data: bytes, rng: random.Random) -> bytes:
    """Return the file with one to three values that no scanner writes."""
    ds = _parsed(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        item, tag = _some_element(ds, rng)
        vr = item[tag].VR
        if vr != "SQ":
            _set_raw(ds, item, tag, vr, rng.choice(_ABSURD["binary" if vr in _BINARY else "text"]))
    return _written(ds)


def type_exchanged(data: bytes, rng: random.Random) -> bytes:
    """Return the file with an element of another value representation, its value kept or not."""
    ds = _parsed(data)
    item, tag = _some_element(ds, rng)
    vr = rng.choice(("DS", "IS", "US", "UN", "LO", "OB", "SQ", "FD", "PN", "UI", "AT", "UT"))
    value = rng.choice((b"\0\1", b"12", MARKER.encode() + b" ", b"", b"\xfe\xff\0\xe0\0\0\0\0"))
    _set_raw(ds, item, tag, vr, value)
    return _written(ds)


def _set_raw(ds: Dataset, item: Dataset, tag: Tag, vr: str, value: bytes) -> None:
    implicit, little = ds.original_encoding
    vr = "US" if vr == "US or SS" else vr
    value += b" " * (len(value) % 2)
    item._dict[Tag(tag)] = RawDataElement(
        Tag(tag), vr, len(value), value, 0, bool(implicit), bool(little)
    )


def size_absurd(data: bytes, rng: random.Random) -> bytes:
    """Return the file with sizes that memory would not hold, in one attribute or in several."""
    ds = _parsed(data)
    order = "little" if ds.original_encoding[1] else "big"
    for keyword in rng.choice((("Rows", "Columns"), ("Rows",), ("Columns",), ())):
        _set_raw(ds, ds, Tag(keyword), "US", (60000).to_bytes(2, order))
    if rng.random() < 0.6:
        count = rng.choice((b"2147483647", b"1000000", b"65536", b"-5", b"0"))
        _set_raw(ds, ds, Tag("NumberOfFrames"), "IS", count)
    return _written(ds)


def nested_deep(data: bytes, rng: random.Random) -> bytes:
    """Return the file with sequences in sequences, up to far more than any object has."""
    ds, inner = _parsed(data), Dataset()
    inner.PatientName = MARKER
    for _ in range(rng.choice((20, 60))):
        outer = Dataset()
        outer.add_new(rng.choice((0x00081140, 0x00400275, 0x52009229)), "SQ", Items([inner]))
        inner = outer
    ds.add_new(rng.choice((0x00081140, 0x52009230, 0x52009229)), "SQ", Items([inner]))
    return _written(ds)


def nested_raw(data: bytes, rng: random.Random) -> bytes:
    """Return the file with hundreds or thousands of sequences begun and none ended."""
    begun = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    at = rng.choice([at for at, _, _ in elements(data)] or [len(data)])
    return data[:at] + (begun + item) * rng.choice((200, 2000, 20000)) + data[at:]


def syntax_exchanged(data: bytes, rng: random.Random) -> bytes:
    """Return the file under another transfer syntax, with the bytes of its own."""
    at = data.find(b"\x02\x00\x10\x00UI")
    if at < 0:
        return flipped(data, rng)
    (length,) = struct.unpack("<H", data[at + 6 : at + 8])
    syntax = rng.choice(_SYNTAXES).encode()
    syntax += b"\0" * (len(syntax) % 2)
    head = data[: at + 6] + struct.pack("<H", len(syntax)) + syntax
    return head + data[at + 8 + length :]


def meta_lost(data: bytes, rng: random.Random) -> bytes:
    """Return the file without its preamble, or without its meta information too."""
    if rng.random() < 0.5:
        return data[_META:]
    at = data.find(b"\x08\x00\x05\x00")
    return data[at if at > 0 else _META :]


def element_repeated(data: bytes, rng: random.Random) -> bytes:
    """Return the file with an element twice, the second in its place or somewhere else."""
    found = elements(data)
    if not found:
        return part_repeated(data, rng)
    at, start, length = rng.choice(found)
    to = rng.choice((at, rng.choice(found)[0]))
    return data[:to] + data[at : start + length] + data[to:]


def length_lied(data: bytes, rng: random.Random) -> bytes:
    """Return the file with a length that is not that of the value."""
    found = elements(data)
    if not found:
        return flipped(data, rng)
    at, start, length = rng.choice(found)
    wide = start - at == 12 or not data[at + 4 : at + 6].isalpha()
    lies = (0, 1, length + 2, length * 2, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFE, 0xFFFFFFFE)
    size = 4 if wide else 2
    lie = (rng.choice(lies) % (1 << 8 * size)).to_bytes(size, "little")
    return data[: start - size] + lie + data[start:]


def type_flipped(data: bytes, rng: random.Random) -> bytes:
    """Return the file with another value representation over the same bytes."""
    found = [one for one in elements(data) if data[one[0] + 4 : one[0] + 6].isalpha()]
    if not found:
        return flipped(data, rng)
    at = rng.choice(found)[0]
    vr = rng.choice((b"SQ", b"OB", b"UN", b"DS", b"IS", b"US", b"LO", b"ZZ", b"\0\0", b"UT", b"AT"))
    return data[: at + 4] + vr + data[at + 6 :]


def elements(data: bytes) -> list[tuple[int, int, int]]:
    """Return where the elements at the top of a file begin, where their values do, and lengths."""
    try:
        ds = _parsed(data)
        raws = [ds.get_item(tag) for tag in ds]
    except Exception:  # of a file that is damaged already
        return []
    found = []
    for tag in list(ds._dict):
        raw = ds.get_item(tag)
        start = getattr(raw, "value_tell", None) or getattr(raw, "file_tell", None)
        if not isinstance(start, int) or not 12 < start < len(data):
            continue
        little = struct.pack("<HH", tag.group, tag.elem)
        sizes = [size for size in (8, 12) if data[start - size : start - size + 4] == little]
        if sizes:
            found.append((start - sizes[0], start, max(0, getattr(raw, "length", 0) or 0)))
    del raws
    return [one for one in found if one[2] < len(data)]


DICOM: tuple[Mutation, ...] = (
    tag_lost, value_absurd, value_absurd, type_exchanged, size_absurd, nested_deep, nested_raw,
    syntax_exchanged, meta_lost, element_repeated, length_lied, type_flipped,
)  # fmt: skip

# offsets and formats of nifti1.h; the last is vox_offset
_FIELDS = {0: "i", 40: "8h", 68: "3h", 70: "h", 72: "h", 74: "h", 76: "8f", 108: "f", 112: "f",
           116: "f", 123: "b", 252: "h", 254: "h", 256: "6f", 280: "12f", 344: "4s"}  # fmt: skip
_NUMBERS = (0, -1, 1, 2, 5, 7, 348, 540, 32767, -32768, 128, 1024, 2304)
_FLOATS = (0.0, -1.0, 1e38, -1e38, 1e-38, float("nan"), float("inf"), 3.5, 352.0, 1e9)


def field_absurd(data: bytes, rng: random.Random) -> bytes:
    """Return a NIfTI-1 file with one to three fields of its header changed."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        offset, form = rng.choice(list(_FIELDS.items()))
        kind, size = form[-1], struct.calcsize("<" + form[-1])
        at = offset + size * rng.randrange(int(form[:-1] or 1) if kind != "s" else 1)
        if kind == "f":
            value = struct.pack("<f", rng.choice(_FLOATS))
        elif kind == "s":
            value = rng.choice((b"ni1\0", b"n+2\0", b"\0\0\0\0", b"N+1\0"))
        else:
            bits = 8 * size
            number = rng.choice(_NUMBERS) % (1 << bits)
            value = number.to_bytes(size, rng.choice(("little", "little", "big")))
        changed[at : at + len(value)] = value
    return bytes(changed)


def dims_absurd(data: bytes, rng: random.Random) -> bytes:
    """Return a NIfTI-1 file that claims far more voxels than it has."""
    dims = [rng.choice((1, 5, 32767)) for _ in range(rng.choice((3, 4, 7)))]
    whole = [len(dims), *dims, 1, 1, 1, 1, 1][:8]
    return data[:40] + struct.pack("<8h", *whole) + data[56:]


def line_absurd(data: bytes, rng: random.Random) -> bytes:
    """Return a file with a header of text, one value of it changed."""
    lines = data.split(b"\n")
    texts = [n for n, line in enumerate(lines[:12]) if b":" in line or b"=" in line]
    at = rng.choice(texts)
    name, mark, _ = lines[at].partition(b":" if b":" in lines[at] else b"=")
    lines[at] = name + mark + b" " + rng.choice(_VALUES)
    return b"\n".join(lines)


_VALUES = (
    b"", b"0", b"-1", b"nan nan nan", b"1e300 1 1", b"99999 99999 99999", b"2147483648 1 1",
    b"(1,0,0) (0,0,0) (0,0,1)", b"none", b"gzip", b"hex", b"double", b"MET_UCHAR", b"4",
    b"../secret", b"/etc/hostname", b"LIST", b"True",
)  # fmt: skip
TEXT: tuple[Mutation, ...] = (line_absurd,)
NIFTI: tuple[Mutation, ...] = (field_absurd, field_absurd, field_absurd, dims_absurd)


_OWN = {"nii": NIFTI, "nrrd": TEXT, "mha": TEXT, "mgz": BYTES}


def mutated(name: str, data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Return a file damaged in one to three ways of its kind, and what these are called."""
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        own = _OWN.get(name.split(".")[1], DICOM)
        way = rng.choice(own if rng.random() < 0.65 else BYTES)
        try:
            data = _applied(way, name, data, rng)
        except Exception:  # no such element any more, or pydicom will not write it: then bytes
            way = flipped
            data = flipped(data or b"\0", rng)
        done.append(way.__name__)
    return "+".join(done), data


def _applied(way: Mutation, name: str, data: bytes, rng: random.Random) -> bytes:
    """Damage what is packed from within half of the time, and always by a way of its kind."""
    if name.endswith((".gz", ".mgz")) and (way in NIFTI or rng.random() < 0.5):
        return gzip.compress(way(gzip.decompress(data), rng), mtime=0)
    if name.startswith("deflated") and way in BYTES and rng.random() < 0.5:
        at = data.find(b"\x02\x00\x00\x00UL\x04\x00") + 12
        at += int.from_bytes(data[at - 4 : at], "little")
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        plain = way(zlib.decompress(data[at:], -zlib.MAX_WBITS), rng)
        return data[:at] + packer.compress(plain) + packer.flush()
    return way(data, rng)
