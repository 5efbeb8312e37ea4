"""The files of a package in a folder or a zip: names, sizes and bytes, within limits."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from medseg.errors import ModelRefused

RECORD, WEIGHTS = "model.json", "weights.safetensors"
ENTRY_LIMIT = 16  # files in a package: three configurations of five folds, and the record
RATIO_LIMIT = 100  # unpacked to packed size in a zip; JSON packs 20 to 1, weights not at all
UNSAFE = {
    ".keras", ".h5", ".hdf5", ".pb", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib",
}  # fmt: skip


def sizes_in(path: Path) -> dict[str, int]:
    """Return size in bytes of each file of a package, having refused what cannot be one."""
    if not path.exists():
        raise ModelRefused("package-missing", f"There is no model package at {path.name!r}")
    if path.is_dir():
        files = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        _check_names(sorted(entry.name for entry in files))
        for entry in files:
            if entry.is_symlink() or not entry.is_file():
                raise ModelRefused("package-unsafe",
                                   f"{entry.name!r} in the package is a link or a folder",
                                   do="A package holds plain files only")  # fmt: skip
        return {entry.name: entry.stat().st_size for entry in files}
    _refuse_code(path.name)
    if not zipfile.is_zipfile(path):
        raise ModelRefused(
            "package-foreign",
            f"{path.name!r} is neither a folder nor a zip",
            do="Give the folder or zip that medseg wrote, or the name of a shipped model",
        )
    with _archive(path) as archive:
        return _zip_sizes(archive.infolist())


def _zip_sizes(entries: list[zipfile.ZipInfo]) -> dict[str, int]:
    """Return the sizes a zip declares, having refused traversal, links and bombs."""
    _check_names([entry.filename for entry in entries])
    for entry in entries:
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ModelRefused("package-unsafe", f"{entry.filename!r} in the zip is a link",
                               do="A package holds plain files only")  # fmt: skip
        if entry.file_size > RATIO_LIMIT * max(entry.compress_size, 1):
            raise ModelRefused(
                "package-too-large",
                f"{entry.filename!r} unpacks to {entry.file_size} bytes from "
                f"{entry.compress_size}: made to fill the memory",
                do="Do not use this file",
            )
    if len({entry.filename for entry in entries}) < len(entries):
        raise ModelRefused("package-unsafe", "A name comes twice in the zip",
                           do="Do not use this file")  # fmt: skip
    return {entry.filename: entry.file_size for entry in entries}


def _check_names(names: list[str]) -> None:
    """Refuse too many files, names that lead out of the package and files that can run code."""
    if len(names) > ENTRY_LIMIT:
        raise ModelRefused("package-foreign", f"{len(names)} files are no model package",
                           do=f"A package holds {ENTRY_LIMIT} at most")  # fmt: skip
    for name in names:
        _refuse_code(name)
        if name in {"", ".", ".."} or any(mark in name for mark in "/\\:"):
            raise ModelRefused(
                "package-unsafe",
                f"The name {name[:80]!r} in the zip leads elsewhere",
                do="Zip the files of a package themselves, not the folder around them",
            )


def _refuse_code(name: str) -> None:
    kind = Path(name).suffix.lower()
    if kind in UNSAFE:
        raise ModelRefused(
            "package-unsafe",
            f"medseg never loads {kind} files: loading one can run code that it carries",
            do="Ask its maker for a model package, or train and write one with medseg",
        )


@contextmanager
def open_file(path: Path, name: str) -> Iterator[BufferedIOBase]:
    """Yield one file of a package for reading."""
    if path.is_dir():
        try:
            stream = (path / name).open("rb")
        except OSError as error:
            raise damaged(name) from error
        with stream:
            yield stream
        return
    with _archive(path) as archive, archive.open(name) as member:
        yield cast(BufferedIOBase, member)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield an open zip; whatever is broken in it is a damaged package."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError,
            NotImplementedError) as error:  # fmt: skip
        raise damaged(path.name) from error


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a zip; equal content gives equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name])  # dated 1980, not today


def check_size(name: str, size: int, limit: int) -> None:
    """Refuse a file that is too large to be what it is called: ``package-too-large``."""
    if size > limit:
        raise ModelRefused("package-too-large", f"{name} has {size} bytes, the limit is {limit}")


def damaged(name: str) -> ModelRefused:
    """Return the refusal of a file that is not what was packed."""
    return ModelRefused("package-damaged", f"{name} is not the file that was packed",
                        do="Copy or download the package again")  # fmt: skip
