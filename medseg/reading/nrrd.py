"""NRRD files, attached (.nrrd) or with a file of voxels beside the header (.nhdr)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from medseg.errors import InputRefused
from medseg.reading import itk
from medseg.reading.image_file import ImageFile, check_spacing

SUFFIXES = (".nrrd", ".nhdr")
_AXES = {  # of the spaces that are those of a patient; ITK brings the first three to LPS itself
    "left-posterior-superior": "LPS", "lps": "LPS",
    "right-anterior-superior": "LPS", "ras": "LPS",
    "left-anterior-superior": "LPS", "las": "LPS",
    "left-posterior-superior-time": "LPS", "lpst": "LPS",
    "right-anterior-superior-time": "RAS", "rast": "RAS",
    "left-anterior-superior-time": "LAS", "last": "LAS",
}  # fmt: skip
_ENCODINGS = {"raw": "raw", "hex": "hex", "txt": "text", "text": "text", "ascii": "text",
              "gz": "gzip", "gzip": "gzip"}  # fmt: skip
_DOMAINS = {"domain", "space", "time", "none", "???"}  # kinds of axes that are no components
_TO_MM = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 0.001, "µm": 0.001,
          "meter": 1000.0, "micron": 0.001}  # fmt: skip


def opened(path: Path) -> ImageFile:
    """Return a file's grid and findings from its header, and whether all its bytes are there.

    LPS, RAS and LAS are told apart by the header's ``space``; any other one gives the warning
    ``no-orientation``. Volumes lie along a fourth axis, or along one of kind ``list``
    (NRRD format, teem.sourceforge.net/nrrd/format.html).

    Raises
    ------
    InputRefused
        ``file-damaged``, ``geometry-missing``, ``pixels-undecodable``, and the codes of
        :func:`medseg.reading.itk.image_file` and :func:`medseg.reading.itk.data_file`.
    """
    return itk.image_file("NrrdImageIO", _header_of(path))


def _header_of(path: Path) -> itk.TextHeader:
    head = itk.head_of(path)
    if not head.startswith(b"NRRD00"):
        raise itk.damaged("it does not begin as NRRD files do")
    end = re.search(rb"\r?\n\r?\n", head)
    if end is None and len(head) == itk.LONGEST_HEADER:
        raise itk.damaged("it does not end")
    fields = _fields(itk.lines_of(head[: end.start()] if end else head))
    kinds = fields.get("kinds", "").lower().split()
    _check_sizes_given(fields, kinds)
    axes = _AXES.get(fields.get("space", "").lower())
    detached = "datafile" in fields
    return itk.TextHeader(
        path=path,
        data=itk.data_file(path, fields["datafile"]) if detached else path,
        start=0 if detached else end.end() if end else len(head),
        encoding=_encoding(fields),
        placed=bool(axes and "spacedirections" in fields and "spaceorigin" in fields),
        axes=axes or "LPS",
        to_mm=_to_mm(fields),
        listed=[kind for kind in kinds if kind not in _DOMAINS] == ["list"],
    )


def _fields(lines: list[str]) -> dict[str, str]:
    """Return the fields by their names without spaces; comments and key:=value are none."""
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if line.startswith("#") or not colon or value.startswith("="):
            continue
        name = re.sub(r"[\s_-]", "", name).lower()
        if name in fields:
            raise itk.damaged(f"it gives {name} twice")
        fields[name] = value.strip()
    return fields


def _check_sizes_given(fields: dict[str, str], kinds: list[str]) -> None:
    """Refuse voxels without a size, which ITK would take as 1 mm."""
    if "spacedirections" in fields:
        return
    if "spacings" not in fields:
        raise InputRefused("geometry-missing", "no pixel spacing: the header gives no voxel size",
                           do="Convert the image again")  # fmt: skip
    try:
        sizes = [float(size) for size in fields["spacings"].split()]
    except ValueError:
        raise itk.damaged("its spacings are no numbers") from None
    if len(kinds) == len(sizes):
        sizes = [size for size, kind in zip(sizes, kinds, strict=True) if kind in _DOMAINS]
    check_spacing(np.array(sizes[:3]))


def _encoding(fields: dict[str, str]) -> str:
    named = fields.get("encoding", "").lower()
    if named not in _ENCODINGS:
        raise InputRefused("pixels-undecodable", "The voxels are encoded in a way that SimpleITK "
                           "does not read", do="Save it with gzip encoding")  # fmt: skip
    return _ENCODINGS[named]


def _to_mm(fields: dict[str, str]) -> float:
    said = re.findall(r'"([^"]*)"', fields.get("spaceunits", fields.get("units", "")))
    lengths = {_TO_MM[unit.lower()] for unit in said if unit.lower() in _TO_MM}
    if len(lengths) > 1:
        raise InputRefused("geometry-invalid", "The axes are measured in different units",
                           do="Convert the image again")  # fmt: skip
    return lengths.pop() if lengths else 1.0
