"""MetaImage files, attached (.mha) or with a file of voxels beside the header (.mhd)."""

from __future__ import annotations

import re
from pathlib import Path

from medseg.errors import InputRefused
from medseg.reading import itk
from medseg.reading.image_file import ImageFile

SUFFIXES = (".mha", ".mhd")
_LAST = re.compile(rb"^[ \t]*ElementDataFile[ \t]*[=:][^\n]*(\n|\Z)", re.MULTILINE)
_SIZE = ("ElementSpacing", "ElementSize")
_TURN = ("TransformMatrix", "Rotation", "Orientation")
_PLACE = ("Offset", "Position", "Origin")
_MOST_AXES = 10  # that MetaIO has room for
_TO_MM = {"mm": 1.0, "cm": 10.0, "um": 0.001}


def opened(path: Path) -> ImageFile:
    """Return a file's grid and findings from its header, and whether all its bytes are there.

    Places are LPS, as ITK has them; AnatomicalOrientation is not looked at, here as there.

    Raises
    ------
    InputRefused
        ``file-damaged``, ``geometry-missing``, and the codes of
        :func:`medseg.reading.itk.image_file` and :func:`medseg.reading.itk.data_file`.
    """
    return itk.image_file("MetaImageIO", _header_of(path))


def _header_of(path: Path) -> itk.TextHeader:
    head = itk.head_of(path)
    last = _LAST.search(head)  # the line that ends a header
    if last is None:
        raise itk.damaged("it has no ElementDataFile")
    if len(re.findall(rb"elementdatafile", head[: last.end()], re.IGNORECASE)) > 1:
        raise itk.damaged("it names its data file twice")
    fields = _fields(itk.lines_of(head[: last.end()]))
    _check_axes(fields)
    if not any(name in fields for name in _SIZE):
        raise InputRefused("geometry-missing", "no pixel spacing: the header gives no voxel size",
                           do="Convert the image again")  # fmt: skip
    named = fields["ElementDataFile"]
    detached = named.upper() != "LOCAL"
    compressed = _true(fields.get("CompressedData", "False"))
    binary = _true(fields.get("BinaryData", "True"))
    return itk.TextHeader(
        path=path,
        data=itk.data_file(path, named) if detached else path,
        start=max(0, _whole(fields.get("HeaderSize", "0"))) if detached else last.end(),
        encoding="gzip" if compressed else "raw" if binary else "text",
        placed=any(name in fields for name in _TURN) and any(name in fields for name in _PLACE),
        to_mm=_TO_MM.get(fields.get("DistanceUnits", "mm").lower(), 1.0),
        packed=_packed(fields) if compressed else 0,
    )


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        name, *value = re.split("[=:]", line, maxsplit=1)
        name = name.strip()
        if name in fields:
            raise itk.damaged(f"it gives {name} twice")
        if value:
            fields[name] = value[0].strip()
    return fields


def _check_axes(fields: dict[str, str]) -> None:
    """Refuse lists that do not have a number for each axis: MetaIO reads past their ends.

    SimpleITK 2.5.7 ends the whole process where NDims makes no sense.
    """
    axes = _whole(fields.get("NDims", ""))
    if not 1 <= axes <= _MOST_AXES:
        raise itk.damaged(f"it has {axes} axes")
    lengths = {"DimSize": axes, **dict.fromkeys((*_SIZE, *_PLACE), axes)}
    for name, length in {**lengths, **dict.fromkeys(_TURN, axes * axes)}.items():
        if name in fields and len(_numbers(name, fields[name])) != length:
            raise itk.damaged(f"{name} does not have {length} numbers")


def _numbers(name: str, value: str) -> list[float]:
    try:
        return [float(one) for one in value.split()]
    except ValueError:
        raise itk.damaged(f"{name} is no list of numbers") from None


def _true(value: str) -> bool:
    return value[:1] in "Tt1"


def _whole(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise itk.damaged("a length in it is no whole number") from None


def _packed(fields: dict[str, str]) -> int:
    """Return the length of compressed voxels, without which MetaIO reads chance values."""
    size = _whole(fields.get("CompressedDataSize", "0"))
    if size <= 0:
        raise itk.damaged("it does not say how long its compressed voxels are")
    return size
