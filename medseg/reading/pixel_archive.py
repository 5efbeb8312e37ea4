"""Archives of pixel arrays (.npz), as MedMNIST lays them out."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medseg.dicom.private import folder_name
from medseg.errors import InputRefused

SUFFIX = ".npz"
LARGEST_BYTES = 8 << 30  # of all arrays unpacked; MedMNIST's largest at 224 pixels has 16 GiB
PARTS = ("train", "val", "test")


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an archive by name; nothing in it is executed.

    Raises
    ------
    InputRefused
        ``path-missing``, ``file-unreadable``; ``file-damaged``: no archive of arrays, or one
        that holds Python objects; ``too-large``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
        if claimed > LARGEST_BYTES:
            raise InputRefused("too-large", f"The arrays take {claimed / 1e9:.0f} GB unpacked",
                               do="Divide the file")  # fmt: skip
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise InputRefused("path-missing", "There is no file at this path",
                           do="Check how it is written, or mount its disk") from None  # fmt: skip
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError,
            RuntimeError):  # fmt: skip
        raise InputRefused(
            "file-damaged", "The file is no whole archive of plain arrays (.npz)",
            do="Write it with numpy.savez, without object arrays",
        ) from None  # fmt: skip
    except OSError as error:
        words = (error.strerror or type(error).__name__).lower()
        raise InputRefused("file-unreadable", f"The file may not be read: {words}",
                           do="Ask for access to it, or check the disk") from None  # fmt: skip


def images_of(arrays: Mapping[str, np.ndarray]) -> dict[str, list[tuple[str, np.ndarray]]]:
    """Return the images of each part with a name for each: ``train``, ``val``, ``test`` or ``""``.

    ``<part>_images`` or ``images`` is an array ``(N, rows, columns[, C])``; ``<part>_names``
    names them. Without such keys every other array is taken as one image.

    Raises
    ------
    InputRefused
        ``dataset-invalid``: names and images differ in number, or there is no image.
    """
    found: dict[str, list[tuple[str, np.ndarray]]] = {}
    for key, stack in arrays.items():
        part, _, kind = key.rpartition("_")
        if kind != "images" or part not in ("", *PARTS):
            continue
        if stack.ndim not in (3, 4):
            raise InputRefused("dataset-invalid", f"{key} has shape {stack.shape}",
                               do="Give (N, rows, columns) or (N, rows, columns, C)")  # fmt: skip
        found[part] = list(zip(_names(arrays, part, len(stack)), stack, strict=True))
    if not found:
        single = [(folder_name(key), one) for key, one in arrays.items() if one.ndim in (2, 3)]
        found = {"": single} if single else {}
    if not any(found.values()):
        raise InputRefused("dataset-invalid", "The archive holds no images",
                           do="Name them train_images, val_images, test_images or images"
                           )  # fmt: skip
    return found


def _names(arrays: Mapping[str, np.ndarray], part: str, count: int) -> list[str]:
    """Return a name for each image: as given, made fit for a folder, or a number."""
    prefix = f"{part}_" if part else ""
    told = arrays.get(f"{prefix}names")
    if told is None:
        return [f"{part or 'image'}-{n:05d}" for n in range(count)]
    if len(told) != count:
        raise InputRefused("dataset-invalid", f"{prefix}images holds {count} images, "
                           f"{prefix}names {len(told)} names")  # fmt: skip
    names = [folder_name(Path(str(name)).stem) for name in told.ravel().tolist()]
    repeated = len(set(names)) < count
    return [f"{name}-{n:05d}" for n, name in enumerate(names)] if repeated else names
