"""Forms of image files beside DICOM: which there are, told by the ends of their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from medseg.reading import metaimage, mgh, nifti, nrrd
from medseg.reading.image_file import ImageFile

SUFFIXES: dict[str, tuple[str, ...]] = {
    "nifti": nifti.SUFFIXES,
    "nrrd": nrrd.SUFFIXES,
    "metaimage": metaimage.SUFFIXES,
    "mgh": mgh.SUFFIXES,
}
_OPENED: dict[str, Callable[[Path], ImageFile]] = {
    "nifti": nifti.opened,
    "nrrd": nrrd.opened,
    "metaimage": metaimage.opened,
    "mgh": mgh.opened,
}
_HEADS = {  # of files that hold voxels alone
    ".img": (".hdr",),
    ".img.gz": (".hdr.gz", ".hdr"),
    ".raw": (".mhd", ".nhdr"),
    ".zraw": (".mhd",),
    ".raw.gz": (".nhdr",),
}


def form_of(path: Path) -> str | None:
    """Return the form of an image file by its name, or None.

    Examples
    --------
    >>> form_of(Path("Liver.NII.gz")), form_of(Path("1.dcm"))
    ('nifti', None)
    """
    name = path.name.lower()
    return next((form for form, ends in SUFFIXES.items() if name.endswith(ends)), None)


def stem_of(path: Path) -> str:
    """Return a file's name without the suffix of its form."""
    ends = [end for ends in SUFFIXES.values() for end in ends if path.name.lower().endswith(end)]
    return path.name[: -len(max(ends, key=len))] if ends else path.stem


def head_of(path: Path) -> Path | None:
    """Return the header beside a file that holds voxels alone, or None."""
    name = path.name.lower()
    for end, heads in _HEADS.items():
        if name.endswith(end):
            found = (path.with_name(path.name[: -len(end)] + head) for head in heads)
            return next((head for head in found if head.exists()), None)
    return None


def opened(path: Path) -> ImageFile:
    """Return the grid of an image file and what its header shows; voxels stay on the disk."""
    return _OPENED[form_of(path) or ""](path)
