"""Files that are whole or absent: written aside, synced, renamed; and their hashes."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from medseg.errors import OutputFailed


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place when the block ends well.

    The temporary name keeps the suffixes of ``path`` (writers choose a format by them). When
    the block raises, Ctrl-C included, nothing stays behind and an older ``path`` is untouched.

    Raises
    ------
    OutputFailed
        ``write-failed``: the disk is full, the folder is missing or not ours to write.
    """
    aside = path.with_name(f".{secrets.token_hex(4)}.part.{path.name}")
    try:
        with _told(path):
            yield aside
            with aside.open("rb+") as written:
                os.fsync(written.fileno())
            aside.replace(path)
            _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; rename it into place when the block ends well.

    An older ``path`` is moved aside for the rename and deleted after it. When the block
    raises, Ctrl-C included, nothing stays behind and the older one is untouched. Write the
    files in it with :func:`whole_file`, which syncs them.

    Raises
    ------
    OutputFailed
        ``write-failed``, as for :func:`whole_file`; also when another process put a folder
        there at the same moment.
    """
    mark = secrets.token_hex(4)
    aside = path.with_name(f".{mark}.part.{path.name}")
    older = path.with_name(f".{mark}.old.{path.name}")
    try:
        with _told(path):
            aside.mkdir()
            yield aside
            if path.exists():
                path.replace(older)
            try:
                aside.replace(path)
            except BaseException:
                if older.exists() and not path.exists():
                    older.replace(path)
                raise
            _sync_folder(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if path.exists():
            shutil.rmtree(older, ignore_errors=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the system says of writing into one clear line."""
    try:
        yield
    except OSError as error:
        raise OutputFailed(
            "write-failed",
            f"{path.name} could not be written: {error.strerror or type(error).__name__}",
            do="Check free space and permissions of the output folder",
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; not every file system can, then nothing is lost."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> Path:
    """Make a folder and its parents for output.

    Raises
    ------
    OutputFailed
        ``write-failed``: it cannot be made there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFailed(
            "write-failed",
            f"The output folder could not be made: {error.strerror or type(error).__name__}",
            do="Choose a folder that you may write to",
        ) from error
    return folder


def discard_parts(folder: Path) -> None:
    """Remove what a killed process left half-written in a folder, by its temporary name."""
    for part in folder.glob(".????????.part.*"):
        shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON as UTF-8 with two spaces, whole or not at all; NaN and inf are refused."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_space(what: str, size: int, free: int) -> None:
    """Refuse to begin what a disk cannot hold, sizes in bytes.

    Raises
    ------
    OutputFailed
        ``disk-too-small``.
    """
    if size > free:
        raise OutputFailed(
            "disk-too-small", f"{what} take {in_words(size)}, {in_words(free)} are free",
            do="Free some, or choose another folder",
        )  # fmt: skip


def in_words(size: float) -> str:
    """Return a size in bytes as a person reads it.

    Examples
    --------
    >>> in_words(2_884_000), in_words(69_300_000_000), in_words(640)
    ('2.88 MB', '69.3 GB', '0.64 kB')
    """
    unit, name = next(((unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB")) if size >= unit),
                      (1e3, "kB"))  # fmt: skip
    return f"{size / unit:.3g} {name}"
