"""What lies in a zip or a tar, one member at a time, within limits that no header can move."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

from medseg.errors import InputRefused

MOST_ENTRIES = 100_000  # files and folders: fifty whole-body PET/CT examinations
MOST_BYTES = 64 << 30  # unpacked: a 4-D CT or a whole-body PET/CT has a tenth of it
MOST_RATIO = 200  # unpacked to packed bytes: CT packs 2 to 1, a folder of masks 100 to 1
RATIO_FROM = 1 << 30  # unpacked bytes before the ratio counts: an empty mask packs 1000 to 1
KEPT_FREE = 256 << 20  # bytes left to others on the disk of temporary files
BLOCK = 1 << 20  # bytes in memory at a time

_DIRECTORY = 512 * MOST_ENTRIES  # bytes of a zip's directory: names, sizes and times
_ZIP_ENTRY = b"PK\x01\x02"  # each entry of that directory begins so
_EXTENSION = 64 << 10  # bytes of a tar's extended header: a name and some times
_XZ_MEMORY = 256 << 20  # bytes for unpacking xz: its level 9 asks for 65 MiB
_RECORD = 512  # bytes; a tar is made of these (POSIX.1-2001, pax)
_TAR_FILES, _TAR_FOLDER = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE), tarfile.DIRTYPE
_TAR_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_TAR_EXTENSIONS = (*_TAR_PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


@dataclass(frozen=True, slots=True, repr=False)
class Member:
    """A file in an archive and the blocks of its content; a folder has none.

    ``name`` is as the archive has it: it may name a patient, and may lead anywhere.
    """

    name: str
    blocks: Iterator[bytes] | None


class Meter:
    """Counts what comes out of an archive and stops it at the limits.

    Parameters
    ----------
    packed : int
        Bytes of the archive itself.
    free : int
        Bytes free where it is unpacked.
    progress : callable
        Called with the bytes done and the bytes in all.
    """

    def __init__(self, packed: int, free: int, progress: Callable[[int, int], None]) -> None:
        self.packed, self.free, self.progress = packed, free - KEPT_FREE, progress
        self.entries = self.bytes = 0

    def enter(self) -> None:
        """Count one more file or folder; refuse one too many."""
        self.entries += 1
        if self.entries > MOST_ENTRIES:
            raise _too_many()

    def count(self, size: int) -> None:
        """Count bytes that came out; refuse what goes beyond a limit."""
        self.bytes += size
        self.check(self.bytes)

    def check(self, size: int) -> None:
        """Refuse so many bytes unpacked, whether they are promised or have come out."""
        if size > MOST_BYTES:
            raise InputRefused(
                "archive-too-large",
                f"The archive unpacks to more than {MOST_BYTES / 2**30:.3g} GiB",
                do="Unpack it yourself and give the folder",
            )
        if size > max(RATIO_FROM, MOST_RATIO * self.packed):
            raise InputRefused(
                "archive-ratio",
                f"The archive of {self.packed} bytes unpacks to {size} or more, over {MOST_RATIO} "
                "times its size: it looks made to fill the disk",
                do="If you trust it, unpack it yourself and give the folder",
            )
        if size > self.free:
            raise no_space(
                f"The archive unpacks to {size} bytes or more; {max(self.free, 0)} may be used for "
                "temporary files"
            )


def _too_many() -> InputRefused:
    return InputRefused("archive-entries",
                        f"The archive holds more than {MOST_ENTRIES} files and folders",
                        do="Unpack it yourself and give the folder")  # fmt: skip


def no_space(words: str) -> InputRefused:
    """Return the refusal of an archive that does not fit where it is unpacked."""
    return InputRefused("archive-no-space", words,
                        do="Free some space, or set TMPDIR to a folder that has it")  # fmt: skip


def _no_file(what: str) -> InputRefused:
    return InputRefused("archive-special", f"The archive holds {what}, which no scan needs",
                        do="Pack the files themselves, or give the folder")  # fmt: skip


def unsupported(what: str) -> InputRefused:
    """Return the refusal of a packing that is not unpacked here."""
    return InputRefused("archive-unsupported", f"The archive is {what}",
                        do="Unpack it yourself and give the folder, or make it a zip")  # fmt: skip


def of(path: Path, kind: str, meter: Meter) -> Iterator[Member]:
    """Yield the members of an archive; ``kind`` as :func:`medseg.reading.archive.kind_of` has it.

    The blocks of each must be taken before the next.
    """
    return _of_zip(path, meter) if kind == "zip" else _of_tar(path, kind, meter)


def _of_zip(path: Path, meter: Meter) -> Iterator[Member]:
    """Yield members by the methods that can be read in bounded memory."""
    with _ZipFile(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        promised = sum(entry.file_size for entry in entries)
        meter.check(promised)
        for entry in entries:
            _check_entry(entry)
            folder = entry.filename.endswith(("/", "\\"))
            blocks = None if folder else _zip_blocks(archive, entry, meter, promised)
            yield Member(entry.filename, blocks)


class _ZipFile(io.BufferedReader):
    """A zip's bytes; the directory, which ``zipfile`` makes objects of, is counted before."""

    def read(self, size: int | None = -1) -> bytes:
        wanted = size or 0
        if wanted > _DIRECTORY:
            raise _too_many()
        data = super().read(size)
        if wanted > BLOCK and data.count(_ZIP_ENTRY) > MOST_ENTRIES:
            raise _too_many()
        return data


def _check_entry(entry: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise _no_file("a link")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _no_file("a device or a pipe")
    if entry.flag_bits & 0x41:  # encrypted, strongly so (APPNOTE 4.4.4)
        raise InputRefused("archive-encrypted", "The archive is locked with a password",
                           do="Unpack it yourself and give the folder")  # fmt: skip
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        raise unsupported(f"a zip that is packed by method {entry.compress_type}")


def _zip_blocks(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, meter: Meter, promised: int
) -> Iterator[bytes]:
    bzipped = entry.compress_type == zipfile.ZIP_BZIP2
    size = crc = 0
    with archive.open(_as_stored(entry) if bzipped else entry) as stored:
        content = bz2.BZ2File(stored) if bzipped else stored
        while block := content.read(BLOCK):
            size += len(block)
            crc = crc32(block, crc)
            meter.count(len(block))
            if size > entry.file_size:
                break
            yield block
            meter.progress(meter.bytes, promised)
    if (size, crc) != (entry.file_size, entry.CRC):
        raise zipfile.BadZipFile


def _as_stored(entry: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """Return an entry whose bytes are given as they are: ``zipfile`` unbzips without a bound."""
    stored = copy(entry)
    stored.compress_type, stored.file_size = zipfile.ZIP_STORED, entry.compress_size
    del stored.CRC  # which is that of the content
    return stored


def _of_tar(path: Path, packing: str, meter: Meter) -> Iterator[Member]:
    """Yield members without ``TarFile``, which takes a damaged header for the end.

    It would also take extended headers of any size into memory.
    """
    with path.open("rb") as packed:
        tape = _Tape(decoded(packed, packing), packed, meter)
        told: dict[str, str] = {}
        while any(record := tape.take(_RECORD)):  # zeros are the mark of the end
            entry = tarfile.TarInfo.frombuf(record, "utf-8", "surrogateescape")
            if entry.type in _TAR_EXTENSIONS:
                told |= _told(entry.type, tape.extension(entry.size))
                continue
            size = int(told.get("size", entry.size))
            _check_kind(entry, told, size)
            blocks = None if entry.type == _TAR_FOLDER else tape.blocks(size)
            yield Member(told.get("path", entry.name), blocks)
            told = {}
        tape.wind_on()


def decoded(packed: BinaryIO, packing: str) -> BinaryIO:
    """Return the stream in a file packed by ``"gz"``, ``"bz2"`` or ``"xz"``, else the file."""
    if packing == "gz":
        return gzip.GzipFile(fileobj=packed)  # type: ignore[return-value]
    if packing == "bz2":
        return bz2.BZ2File(packed)  # type: ignore[return-value]
    return io.BufferedReader(_Xz(packed)) if packing == "xz" else packed


class _Tape:
    """The bytes of a tar in their order, counted as they come."""

    def __init__(self, stream: BinaryIO, packed: BinaryIO, meter: Meter) -> None:
        self.stream, self.packed, self.meter = stream, packed, meter

    def take(self, size: int) -> bytes:
        """Return exactly so many bytes."""
        data = self.stream.read(size)
        self.meter.count(len(data))
        if len(data) < size:
            raise EOFError
        return data

    def extension(self, size: int) -> bytes:
        """Return the content of an extended header."""
        if not 0 <= size <= _EXTENSION:
            raise ValueError
        return self.take(size + -size % _RECORD)[:size]

    def blocks(self, size: int) -> Iterator[bytes]:
        """Yield the content of a file."""
        left = size
        while left:
            block = self.take(min(left, BLOCK))
            left -= len(block)
            yield block
            self.meter.progress(self.packed.tell(), self.meter.packed)
        self.take(-size % _RECORD)

    def wind_on(self) -> None:
        """Go to the end, where a packed stream has its check sum."""
        while data := self.stream.read(BLOCK):
            self.meter.count(len(data))


def _told(kind: bytes, text: bytes) -> dict[str, str]:
    """Return what an extended header says of the next member."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": text.split(b"\0")[0].decode("utf-8", "surrogateescape")}
    told = {}
    while kind in _TAR_PAX and text:
        length = int(text.split(b" ", 1)[0])  # of the record "length key=value\n"
        if not 0 < length <= len(text):
            raise ValueError
        record = text[:length].split(b" ", 1)[1].decode("utf-8", "surrogateescape")
        key, _, value = record.rstrip("\n").partition("=")
        told[key] = value
        text = text[length:]
    return told


def _check_kind(entry: tarfile.TarInfo, told: dict[str, str], size: int) -> None:
    if entry.islnk() or entry.issym():
        raise _no_file("a link")
    if entry.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in told):
        raise unsupported("a tar with sparse files")
    if entry.type not in (*_TAR_FILES, _TAR_FOLDER):
        raise _no_file("a device, a pipe or the like")
    if size < 0:
        raise ValueError


class _Xz(io.RawIOBase):
    """An xz stream unpacked with bounded memory, which ``LZMAFile`` cannot be told."""

    def __init__(self, packed: BinaryIO) -> None:
        self.packed, self.decoder, self.rest = packed, _xz_decoder(), b""

    def readable(self) -> bool:
        """Say that it can be read, as its buffer asks."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer, or its beginning; 0 at the end."""
        data = b""
        while not data:
            if self.decoder.eof:  # another stream may follow, after zeros
                rest = (self.decoder.unused_data or self.packed.read(BLOCK)).lstrip(b"\0")
                if not rest:
                    return 0
                self.decoder = _xz_decoder()
            else:
                rest = self.packed.read(BLOCK) if self.decoder.needs_input else b""
                if self.decoder.needs_input and not rest:
                    raise EOFError
            data = self._decompressed(rest, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _decompressed(self, rest: bytes, most: int) -> bytes:
        try:
            return self.decoder.decompress(rest, most)
        except lzma.LZMAError as error:
            if "limit" in str(error):
                raise unsupported("packed by an xz that needs much memory") from None
            raise


def _xz_decoder() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
