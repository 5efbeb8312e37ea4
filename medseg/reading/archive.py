"""Archives: told by their content, unpacked within limits into a private folder that vanishes."""

from __future__ import annotations

import errno
import lzma
import re
import shutil
import struct
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from medseg.dicom.private import digest
from medseg.errors import InputRefused
from medseg.reading import members
from medseg.reading.forms import form_of, head_of, stem_of
from medseg.reading.members import Member, Meter

Progress = Callable[[int, int], None]

LONGEST_NAME = 1000  # bytes of a name with its folders; systems end at 1024 to 4096
LONGEST_PART = 255  # bytes of one folder's or file's name, where file systems end
DEEPEST = 50  # folders in one another; media for exchange have 8 (PS3.10 8.2)

_MAGIC = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # without a member
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x28\xb5\x2f\xfd": "zst",
}
_FOREIGN = ("7z", "rar", "zst")  # Python 3.11 has no reader for them
_OWN_DIGITS = 16  # of a name that is replaced
_BROKEN = (EOFError, ValueError, IndexError, KeyError, OverflowError, RuntimeError, struct.error,
           zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)  # fmt: skip


def kind_of(path: Path) -> str:
    """Return what kind of archive a file is by its content, empty for none.

    ``"zip"``; ``"tar"``, or ``"gz"``, ``"bz2"``, ``"xz"`` for a tar so packed; ``"7z"``,
    ``"rar"``, ``"zst"``, which are known but not unpacked. NIfTI files may be packed by gzip
    and are none. A file that cannot be read is none: who reads it next will say why.
    """
    if form_of(path) or head_of(path):
        return ""
    try:
        with path.open("rb") as file:
            start = file.read(512)
            if start[128:132] == b"DICM":
                return ""
            for magic, kind in _MAGIC.items():
                if start.startswith(magic):
                    file.seek(0)
                    return kind if kind not in ("gz", "bz2", "xz") or _tar_in(file, kind) else ""
    except OSError:
        return ""
    return "tar" if _begins_tar(start) else ""


def _tar_in(file: BinaryIO, packing: str) -> bool:
    """Return whether a packed file holds a tar; one too damaged to tell is taken for one."""
    try:
        return _begins_tar(members.decoded(file, packing).read(512))
    except (*_BROKEN, OSError, InputRefused):
        return True


def _begins_tar(start: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")  # has a check sum
    except (tarfile.TarError, ValueError):
        return False
    return True


class Unpacked:
    """A private folder of temporary files that vanishes with the last object that holds this.

    At the latest when Python ends. Series, volumes and their sources hold it.
    """

    def __init__(self) -> None:
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="medseg-"))  # for this user's eyes only
        except OSError:
            raise members.no_space("No folder for temporary files may be written to") from None
        self.remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)


def unpack(path: Path, progress: Progress | None = None) -> Unpacked:
    """Unpack a zip or a tar into a private folder and return what keeps it.

    Nothing in the archive decides where a file goes, what it may do or how much is written.
    Modes, owners and times are left behind; archives within are not unpacked. Whatever stops
    the unpacking, Ctrl-C included, the folder is removed.

    Parameters
    ----------
    path : Path
        A file of which :func:`kind_of` says that it is an archive.
    progress : callable, optional
        Called with the bytes done and the bytes in all.

    Raises
    ------
    InputRefused
        ``archive-unsupported``, ``archive-encrypted``, ``archive-damaged``: it cannot be
        unpacked. ``archive-unsafe``, ``archive-special``, ``archive-name``,
        ``archive-repeated``: what its members are or are called. ``archive-entries``,
        ``archive-too-large``, ``archive-ratio``, ``archive-no-space``: there is too much.
    """
    kind = kind_of(path)
    if kind in _FOREIGN:
        raise members.unsupported(f"of the kind {kind}")
    unpacked = Unpacked()
    try:
        free = shutil.disk_usage(unpacked.folder).free
        meter = Meter(path.stat().st_size, free, progress or (lambda done, total: None))
        with _own_words(meter):
            for member in members.of(path, kind, meter):
                _write(member, unpacked.folder)
                meter.enter()
    except BaseException:
        unpacked.remove()
        raise
    return unpacked


@contextmanager
def _own_words(meter: Meter) -> Iterator[None]:
    """Turn what half a dozen parsers raise on damage into a refusal without names."""
    try:
        yield
    except _BROKEN as error:
        raise _damaged(meter, error) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise members.no_space(f"The disk was full after {meter.bytes} bytes") from None
        if error.errno is None:  # so gzip and bz2 speak of bad data
            raise _damaged(meter, error) from None
        raise


def _damaged(meter: Meter, error: Exception) -> InputRefused:
    kind = "it breaks off" if isinstance(error, EOFError) else type(error).__name__
    words = f"The archive is damaged ({kind}) after {meter.entries} whole entries"
    return InputRefused("archive-damaged", words, do="Copy or export it again")


def _write(member: Member, folder: Path) -> None:
    target = _target(folder, member.name)
    if member.blocks is None:
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:  # never over another
            for block in member.blocks:
                file.write(block)
    except (FileExistsError, NotADirectoryError):
        raise InputRefused("archive-repeated",
                           "Two files in the archive have one name: one of them would be lost",
                           do="Pack them again, or unpack it yourself") from None  # fmt: skip


def _target(folder: Path, name: str) -> Path:
    """Return where a member is written: under the folder, whatever it is called."""
    parts = name.replace("\\", "/").split("/")
    kept = [part for part in parts if part not in ("", ".")]
    if name[:1] in ("/", "\\") or re.match("[A-Za-z]:", name) or ".." in kept:
        raise InputRefused(
            "archive-unsafe",
            "A name in the archive leads out of the folder that it is unpacked to",
            do="Do not trust this archive; ask its maker for another",
        )
    sizes = [len(part.encode(errors="surrogateescape")) for part in kept]
    if max(sizes, default=0) > LONGEST_PART or sum(sizes) > LONGEST_NAME or len(kept) > DEEPEST:
        raise InputRefused(
            "archive-name",
            f"A name in the archive has {sum(sizes)} bytes in {len(kept)} parts, the longest of "
            f"{max(sizes)}",
            do=f"Use at most {LONGEST_NAME} bytes, {DEEPEST} parts and {LONGEST_PART} for each",
        )
    return folder.joinpath(*map(_own, kept))


def _own(part: str) -> str:
    """Return a name as it is, or one of ours for a name of bytes that are no letters."""
    if part.isprintable():
        return part
    stem = stem_of(Path(part))
    return digest(stem, _OWN_DIGITS) + part.removeprefix(stem)
