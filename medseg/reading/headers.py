"""What one pass over a DICOM file's header tells: the file, and each image in it."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from medseg.dicom import require
from medseg.dicom.opening import opened
from medseg.errors import InputRefused
from medseg.reading.encoding import PLAIN, Encoding, encoding_of
from medseg.reading.wholeness import check_inflated, fault_of

if TYPE_CHECKING:
    from pydicom import Dataset

_T = TypeVar("_T", bound=tuple[Hashable, ...] | None)
CT = "1.2.840.10008.5.1.4.1.1.2"
SCANS = {  # storage classes that can be stacked to a volume; all others are listed, not read
    CT: "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy converted enhanced CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "enhanced MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "legacy converted enhanced MR",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
    "1.2.840.10008.5.1.4.1.1.128": "PET",
    "1.2.840.10008.5.1.4.1.1.128.1": "legacy converted enhanced PET",
    "1.2.840.10008.5.1.4.1.1.130": "enhanced PET",
}
DICOMDIR = "1.2.840.10008.1.3.10"
_LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}  # JPEG that is never lossless
_PRIVATE_B = {  # b-values in private tags: where, and how the owner of that block begins
    0x0019100C: (0x00190010, "SIEMENS"),
    0x20011003: (0x20010010, "Philips"),
    0x00431039: (0x00430010, "GEMS"),
}


@dataclass(frozen=True, slots=True, repr=False)
class Header:
    """A DICOM file: what it is and where its pixels start.

    ``description`` and ``patient`` are private: compared, never printed. ``fault`` is why its
    pixels cannot be read, as seen without reading them. ``encoding`` is there for one plain image
    of numbers, whose pixels can be read without parsing the header again; ``stamp`` is the file's
    size and time, by which a change is noticed.
    """

    path: Path
    sop_class: str
    instance: str
    study: str
    series: str
    modality: str
    number: int | None
    description: str
    body_part: str
    patient: str
    image_type: tuple[str, ...]
    frames: int
    rows: int
    columns: int
    colour: bool
    photometric: str
    lossy: bool
    expected_images: int | None
    syntax: str
    pixels_at: int
    fault: InputRefused | None
    encoding: Encoding | None
    stamp: tuple[int, int]

    @property
    def scout(self) -> bool:
        """Whether this is an overview to plan on, as its Image Type says."""
        return bool({"LOCALIZER", "SCOUT"} & set(self.image_type))

    @property
    def mosaic(self) -> bool:
        """Whether the slices of a volume are tiles of this one image."""
        return "MOSAIC" in self.image_type


@dataclass(frozen=True, slots=True, repr=False)
class Slice:
    """One image: a file, or a frame of one. Lengths in mm, positions in LPS, None if absent.

    ``traits`` are values that images of one volume share or that tell volumes apart, by the
    words that messages use for them; absent ones take no room. ``corner`` is the row and column
    of its first pixel in the frame, not the first of all where it is a tile of a mosaic.
    """

    header: Header
    frame: int
    rows: int
    columns: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    thickness: float | None
    number: int | None
    traits: Mapping[str, Hashable] = field(default_factory=dict)
    corner: tuple[int, int] = (0, 0)


def read_header(path: Path) -> tuple[Header, tuple[Slice, ...]] | None:
    """Return a file's header and images; None when it is no DICOM object.

    Damage beyond the header's own reading raises whatever pydicom or the system raises.
    """
    from pydicom import dcmread

    with opened(path) as stream:
        start = stream.read(132)
        if start[128:] != b"DICM" and start[:2] not in (b"\x08\x00", b"\x02\x00", b"\x00\x08"):
            return None  # old archives have no preamble, but begin with group 8 or 2
        check_inflated(stream)
        stream.seek(0)
        dataset = dcmread(stream, stop_before_pixels=True, force=True)
        bare = start[128:] != b"DICM"
        if bare and ("SOPClassUID" not in dataset or "Rows" not in dataset):
            return None
        if _sop_class(dataset) != DICOMDIR and not (
            "SOPClassUID" in dataset and require.text(dataset, "SeriesInstanceUID")
        ):
            raise InputRefused(
                "file-damaged",
                "A DICOM file does not say what it holds or to which series it belongs",
                do="Copy or export the file again",
            )
        header = _header_of(dataset, path, stream)
    slices = _slices_of(dataset, header)
    return _unfolded(dataset, header, slices) if header.mosaic and slices else (header, slices)


def _unfolded(
    dataset: Dataset, header: Header, slices: tuple[Slice, ...]
) -> tuple[Header, tuple[Slice, ...]]:
    """Return the tiles of a mosaic as slices; the fault where it does not say how they lie."""
    from medseg.reading.mosaic import tiles_of

    try:
        tiles = tiles_of(dataset)
    except InputRefused as refusal:
        return replace(header, fault=header.fault or refusal), slices
    return header, tuple(
        replace(one, rows=tile.rows, columns=tile.columns, position=tile.position,
                corner=tile.corner)
        for one in slices for tile in tiles
    )  # fmt: skip


def _sop_class(dataset: Dataset) -> str:
    """Return the storage class; a DICOMDIR has it in the file meta information alone."""
    named = require.text(dataset, "SOPClassUID")
    return named or require.text(dataset.file_meta, "MediaStorageSOPClassUID")


def _header_of(dataset: Dataset, path: Path, stream: BinaryIO) -> Header:
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "") or "")
    if not syntax:  # a bare data set: pydicom has seen which of these it is
        syntax = "1.2.840.10008.1.2" if dataset.original_encoding[0] else "1.2.840.10008.1.2.1"
    samples = require.whole(dataset, "SamplesPerPixel") or 1
    photometric = require.text(dataset, "PhotometricInterpretation")
    sop_class = _sop_class(dataset)
    at = stream.tell()
    fault = fault_of(dataset, syntax, at, stream) if sop_class in SCANS else None
    return Header(
        path=path,
        sop_class=sop_class,
        instance=require.text(dataset, "SOPInstanceUID"),
        study=require.text(dataset, "StudyInstanceUID"),
        series=require.text(dataset, "SeriesInstanceUID"),
        modality=require.text(dataset, "Modality"),
        number=require.whole(dataset, "SeriesNumber"),
        description=require.text(dataset, "SeriesDescription"),
        body_part=require.text(dataset, "BodyPartExamined"),
        patient=require.text(dataset, "PatientID"),
        image_type=_shared(tuple(one.upper() for one in require.texts(dataset, "ImageType"))),
        frames=max(1, require.whole(dataset, "NumberOfFrames") or 1),
        rows=require.whole(dataset, "Rows") or 0,
        columns=require.whole(dataset, "Columns") or 0,
        colour=samples > 1 or photometric == "PALETTE COLOR",
        photometric=photometric,
        lossy=require.text(dataset, "LossyImageCompression") == "01" or syntax in _LOSSY,
        expected_images=require.whole(dataset, "NumberOfSlices")
        or require.whole(dataset, "ImagesInAcquisition"),
        syntax=syntax,
        pixels_at=at,
        fault=fault,
        encoding=None if fault or sop_class not in SCANS else _plain_encoding(dataset, syntax),
        stamp=stamp_of(stream),
    )


def _plain_encoding(dataset: Dataset, syntax: str) -> Encoding | None:
    """Return how one plain image is stored, None where it takes more to read its pixels."""
    from medseg.reading.multiframe import has_groups

    several = (require.whole(dataset, "NumberOfFrames") or 1) > 1
    colour = (require.whole(dataset, "SamplesPerPixel") or 1) > 1
    if syntax not in PLAIN or several or colour or has_groups(dataset):
        return None
    encoding = encoding_of(dataset)
    looked_up = "ModalityLUTSequence" in dataset
    return None if looked_up or not encoding.plain else _shared(encoding)


def stamp_of(stream: BinaryIO) -> tuple[int, int]:
    """Return the size and the time of change of an open file."""
    status = os.fstat(stream.fileno())
    return status.st_size, status.st_mtime_ns


def _slices_of(dataset: Dataset, header: Header) -> tuple[Slice, ...]:
    if header.sop_class not in SCANS:
        return ()
    from medseg.reading.multiframe import FrameView, has_groups

    views: list[require.Attributes] = [dataset]
    if not header.fault and (header.frames > 1 or has_groups(dataset)):
        views = [FrameView(dataset, n) for n in range(header.frames)]
    return tuple(_slice_of(view, header, n) for n, view in enumerate(views))


def _slice_of(view: require.Attributes, header: Header, frame: int) -> Slice:
    thickness = require.number(view, "SliceThickness")
    return Slice(
        header=header,
        frame=frame,
        rows=header.rows,
        columns=header.columns,
        position=require.numbers(view, "ImagePositionPatient", 3),
        orientation=_shared(require.numbers(view, "ImageOrientationPatient", 6)),
        pixel_spacing=_shared(require.numbers(view, "PixelSpacing", 2)),
        thickness=thickness if thickness and thickness > 0 else None,
        number=require.whole(view, "InstanceNumber"),
        traits=_traits(view, header),
    )


@lru_cache(maxsize=1024)
def _shared(values: _T) -> _T:
    """Return the first of equal values: the slices of a series need not each have its own."""
    return values


def _traits(view: require.Attributes, header: Header) -> dict[str, Hashable]:
    kept = 3 if header.sop_class == CT else 4  # a plain CT's fourth value is the vendor's own
    frame_type = tuple(one.upper() for one in require.texts(view, "FrameType"))
    traits: dict[str, Hashable] = {
        "modality": header.modality,
        "storage class": header.sop_class,
        "frame of reference": require.text(view, "FrameOfReferenceUID"),
        "image type": _shared(tuple(n for n in (frame_type or header.image_type)[:kept] if n)),
        "stack": require.text(view, "StackID"),
        "echo time": require.number(view, "EchoTime") or require.number(view, "EchoNumbers"),
        "temporal position": require.whole(view, "TemporalPositionIdentifier"),
        "trigger time": require.number(view, "TriggerTime"),
        "b-value": _b_value(view),
        "gradient direction": require.numbers(view, "DiffusionGradientOrientation", 3),
        "contrast": require.text(view, "ContrastBolusAgent"),
        "acquisition number": require.whole(view, "AcquisitionNumber"),
        "inversion time": require.number(view, "InversionTime"),
        "flip angle": require.number(view, "FlipAngle"),
        "kernel": _shared(require.texts(view, "ConvolutionKernel")),
        "reconstruction diameter": require.number(view, "ReconstructionDiameter"),
        "acquisition time": require.text(view, "AcquisitionTime"),
        "content time": require.text(view, "ContentTime"),
        "file": str(header.path) if header.frames > 1 or header.mosaic else "",
        "units": require.text(view, "Units"),
        "rescale type": require.text(view, "RescaleType"),
    }
    absent = (None, "", ())
    return {name: value for name, value in traits.items() if value not in absent}


def _b_value(view: require.Attributes) -> float | None:
    standard = require.number(view, "DiffusionBValue")
    if standard is not None:
        return standard
    for tag, (owner, begins) in _PRIVATE_B.items():
        if str(_private(view, owner)).startswith(begins):
            first = str(_private(view, tag)).split("\\")[0].strip("[] \0").split(",")[0]
            try:
                return float(first) % 1e9  # GE adds a billion
            except ValueError:
                continue
    return None


def _private(view: require.Attributes, tag: int) -> Any:
    value = require.value_of(view, tag)
    value = getattr(value, "value", value)
    return value.decode("latin1") if isinstance(value, bytes) else value
