"""DICOM files, opened so that a header's lies about lengths take no memory."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

_PLAIN = 1 << 20  # bytes; Python sets aside what a read asks for, so longer ones are looked at


class _Bounded(io.BufferedReader):
    """A reader that never asks for more bytes than are left."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _PLAIN:
            at = self.tell()
            size = min(size, max(0, self.seek(0, io.SEEK_END) - at))
            self.seek(at)
        return super().read(size)


def is_damage(error: BaseException) -> bool:
    """Return whether what a parser or decoder raised speaks of its data, not of a stop.

    The panics of decoders written in Rust are no ``Exception``: PyO3 means them to end the
    program, and one bad image is no reason for that.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def opened(path: Path) -> BinaryIO:
    """Return a file for pydicom to read from, in which no element can be longer than the file.

    An element of 12 bytes may say that 4 GB follow; pydicom believes it and Python sets the
    memory aside before the file ends.
    """
    return _Bounded(path.open("rb", buffering=0))
