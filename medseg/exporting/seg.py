"""Label maps as DICOM Segmentation, on the frames of the scan they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.valuerep import format_number_as_ds

from medseg import __version__
from medseg.dicom import codes, require, space
from medseg.dicom.uids import new_uid, uid_from
from medseg.errors import InputRefused, OutputFailed
from medseg.files import whole_file
from medseg.findings import Finding
from medseg.geometry import Geometry
from medseg.labels import Code, Label
from medseg.reading.segmentation import read_seg
from medseg.result import Result
from medseg.volume import LabelMap, Volume

SERIES_NUMBER = 100  # derived series come after the scanner's own
GAPLESS = 20  # segments; with more, frames of empty slices are left out to bound the size
LONGEST_TEXT = 64  # of the VR LO

# Type 2 attributes that highdicom reads: they must exist, and may be empty.
_MAY_BE_EMPTY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate",
                 "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")  # fmt: skip


def export(result: Result, path: Path) -> tuple[bool, tuple[Finding, ...]]:
    """Write the mask of a result, whole and verified, where the source is DICOM."""
    volume, labels = result.volume, result.labels
    if volume.source.form != "dicom":
        words = "DICOM SEG was not written: the scan is not DICOM, so there is nothing to refer to"
        return False, (Finding("info", "seg-needs-dicom", words),)
    if _tiled(volume):
        words = "DICOM SEG was not written: it refers to whole images, and the slices of this scan "
        words += "are tiles of mosaics"
        return False, (Finding("info", "seg-needs-images", words),)
    if not labels.array.any():
        words = "no finding: the mask is empty, so no DICOM SEG was written"
        return False, (Finding("info", "no-finding", words),)
    model = result.provenance.get("model", {})
    name, version = str(model.get("name", "medseg")), str(model.get("version", __version__))
    with whole_file(path) as aside:
        findings = write(labels, aside, volume, algorithm=name, version=version)
        verify(aside, labels, volume)
    return True, findings


def _tiled(volume: Volume) -> bool:
    """Return whether slices share images, as the tiles of a mosaic do."""
    frames = volume.source.frames
    return len(set(frames)) < len(frames)


def write(
    labels: LabelMap,
    path: Path,
    volume: Volume,
    *,
    algorithm: str = "medseg",
    version: str = __version__,
) -> tuple[Finding, ...]:
    """Write a label map as a BINARY Segmentation of the scan's own frames (PS3.3 A.51).

    Frames run from the first to the last slice that has any label, those between included
    though empty: viewers misplace segments with gaps (OHIF/Viewers#2833). Only labels that
    occur in the mask become segments, numbered from 1 in order of value, as viewers drop
    segments without frames. Patient, study and frame of reference are those of the scan.

    Parameters
    ----------
    labels : LabelMap
        On the grid of ``volume``; not empty. Regions are not written: they are unions.
    path : Path
        The file.
    volume : Volume
        As read from DICOM.
    algorithm, version : str
        Name and version of the model, for the algorithm identification.

    Returns
    -------
    tuple of Finding
        ``segments-absent``: labels that do not occur; ``codes-private``: labels without a
        code, for which one of scheme 99MEDSEG was made from the name.

    Raises
    ------
    InputRefused
        ``frame-of-reference-missing``, ``source-frames``.
    OutputFailed
        ``seg-grid``, ``labels-unknown``, ``seg-failed``.
    """
    present = _present(labels, volume)
    slices = np.flatnonzero(labels.array.any(axis=(0, 1)))
    first, last = int(slices[0]), int(slices[-1]) + 1
    with require.quiet():
        sources, frames = _sources(volume, first, last)
        segments = [
            _segment(number, label, algorithm, version, str(sources[0].SeriesInstanceUID))
            for number, label in enumerate(present, start=1)
        ]
        pixels = _numbering(present)[labels.array[..., first:last].T]  # (slices, rows, columns)
        schemes = _coding_schemes(present)
        try:
            dataset = hd.seg.Segmentation(
                source_images=sources,
                pixel_array=pixels,
                segmentation_type="BINARY",
                segment_descriptions=segments,
                series_instance_uid=new_uid(),
                series_number=SERIES_NUMBER,
                sop_instance_uid=new_uid(),
                instance_number=1,
                manufacturer="medseg",
                manufacturer_model_name="medseg",
                software_versions=__version__,
                device_serial_number="0",
                content_label="SEGMENTATION",
                content_description=_text(f"medseg {algorithm}"),
                series_description=_text(f"medseg {algorithm}"),
                omit_empty_frames=len(present) > GAPLESS,
                specific_character_set="ISO_IR 192",  # names of labels may need any character
                coding_schemes=schemes,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # The message may quote the header: only its kind is passed on.
            raise OutputFailed(
                "seg-failed",
                f"The headers of the scan do not make a DICOM SEG ({type(error).__name__})",
                do="Check the series with dciodvfy, or write NIfTI",
            ) from error
        if frames:
            _refer_to_frames(dataset, frames)
        dataset.save_as(path)
    return _told(labels, present)


def verify(path: Path, labels: LabelMap, volume: Volume) -> None:
    """Read a SEG back onto the scan and compare every voxel and every name.

    Raises
    ------
    OutputFailed
        ``verify-failed``: what was read is not what was meant, or lies elsewhere.
    """
    present = _present(labels, volume)
    try:
        read = read_seg(path, onto=volume)
    except InputRefused as refusal:
        raise _differs(refusal.found) from refusal
    wrong = np.count_nonzero(read.array != _numbering(present)[labels.array])
    if wrong:
        raise _differs(f"{wrong} voxels differ")
    for found, meant in zip(read.labels, present, strict=True):
        if not found.name.startswith(_text(meant.name)):  # cut names that agree get a number
            raise _differs("the names of the segments differ")


def _differs(how: str) -> OutputFailed:
    return OutputFailed("verify-failed",
                        f"seg.dcm did not read back as it was written: {how}",
                        do="Write NIfTI for this scan")  # fmt: skip


def _present(labels: LabelMap, volume: Volume) -> list[Label]:
    """Return the labels that occur, in order of value."""
    if not labels.geometry.same_as(volume.geometry):
        raise OutputFailed(
            "seg-grid",
            f"The mask lies on a grid of {labels.geometry.shape}, "
            f"the scan on one of {volume.geometry.shape}",
            do="Restore the mask onto the scan first",
        )
    found = {
        value
        for k in range(labels.array.shape[2])  # a slice at a time: bincount takes 8 bytes a voxel
        for value in np.flatnonzero(np.bincount(labels.array[..., k].ravel("K"))).tolist()
        if value
    }
    unknown = found - {label.value for label in labels.labels.plain}
    if unknown:
        raise OutputFailed("labels-unknown", f"The mask has value {min(unknown)} without a label",
                           do="Name every value in the label set")  # fmt: skip
    return [label for label in labels.labels.plain if label.value in found]


def _numbering(present: Sequence[Label]) -> np.ndarray:
    """Return the segment number of each label value; the unused ones give 0."""
    numbers = np.zeros(present[-1].value + 1, np.uint8 if len(present) < 256 else np.uint16)
    numbers[[label.value for label in present]] = np.arange(1, len(present) + 1)
    return numbers


def _told(labels: LabelMap, present: Sequence[Label]) -> tuple[Finding, ...]:
    told = []
    absent = [label.name for label in labels.labels.plain if label not in present]
    if absent:
        words = f"The DICOM SEG has no segment for labels that do not occur: {_names(absent)}"
        told.append(Finding("info", "segments-absent", words))
    uncoded = [label.name for label in present if label.type is None]
    if uncoded:
        words = f"Labels without a code have a private one in the DICOM SEG: {_names(uncoded)}"
        told.append(Finding("info", "codes-private", words))
    return tuple(told)


def _names(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _segment(
    number: int, label: Label, algorithm: str, version: str, series_uid: str
) -> hd.seg.SegmentDescription:
    kind = label.type or codes.private_code(label.name)
    category = label.category or (codes.category_of(kind) if label.type else codes.TISSUE)
    segment = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=_text(label.name),
        segmented_property_category=_concept(category),
        segmented_property_type=_concept(kind),
        algorithm_type="AUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=_text(algorithm),
            version=_text(version),
            family=dicom_codes.cid7162.ArtificialIntelligence,
        ),
        tracking_uid=uid_from(series_uid, algorithm, label.name),
        tracking_id=_text(label.name),
        display_color=hd.color.CIELabColor.from_rgb(*label.colour),
    )
    modifiers = [*label.modifiers]
    if label.laterality is not None:
        modifiers.insert(0, codes.SIDES[label.laterality])
    if modifiers:  # highdicom has no argument for them
        coded = segment.SegmentedPropertyTypeCodeSequence[0]
        coded.SegmentedPropertyTypeModifierCodeSequence = [_concept(one) for one in modifiers]
    return segment


def _concept(code: Code) -> hd.sr.CodedConcept:
    return hd.sr.CodedConcept(code.value, code.scheme, _text(code.meaning))


def _text(text: str) -> str:
    """Return a text as LO takes it: a backslash would part two values, and some count bytes."""
    return text.replace("\\", "/").encode()[:LONGEST_TEXT].decode(errors="ignore").strip()


def _coding_schemes(
    present: Sequence[Label],
) -> list[CodingSchemeIdentificationItem] | None:
    used = {code.scheme for label in present for code in (label.type, *label.modifiers) if code}
    if all(label.type for label in present) and codes.PRIVATE_SCHEME not in used:
        return None
    return [
        CodingSchemeIdentificationItem(
            designator=codes.PRIVATE_SCHEME,
            name="medseg codes of structures without a public one",
            responsible_organization="medseg",
        )
    ]


def _sources(volume: Volume, first: int, last: int) -> tuple[list[Dataset], tuple[int, ...]]:
    """Return headers of the slices such as highdicom takes them, in the order of k.

    For a multi-frame source it is one header cut down to the wanted frames, and with it the
    number, from 0, that each of them has in the file.
    """
    frames = volume.source.frames
    if len(frames) != volume.geometry.shape[2]:
        raise InputRefused(
            "source-frames",
            f"The scan has {volume.geometry.shape[2]} slices but {len(frames)} source frames",
            do="Segment the series as it was read, or write NIfTI",
        )
    if _tiled(volume):
        raise InputRefused("source-frames", "The slices of the scan are tiles of mosaics, not "
                           "images that a SEG could refer to", do="Write NIfTI")  # fmt: skip
    wanted = frames[first:last]
    header = _header(wanted[0][0])
    if "PerFrameFunctionalGroupsSequence" not in header:
        headers = [header, *(_header(file) for file, _ in wanted[1:])]
        for one in headers:
            _straighten(one, volume.geometry)
        return headers, ()
    if len({file for file, _ in wanted}) > 1:
        raise InputRefused("source-frames", "The scan is spread over several multi-frame files",
                           do="Write NIfTI")  # fmt: skip
    numbers = tuple(number for _, number in wanted)
    _cut_to_frames(header, numbers, volume.geometry)
    return [header], numbers


def _header(file: Path) -> Dataset:
    """Return a slice's header with what highdicom insists on; the file is not changed."""
    try:
        header = pydicom.dcmread(file, stop_before_pixels=True)
    except (OSError, EOFError, InvalidDicomError) as error:
        raise InputRefused(
            "source-gone",
            "A slice of the scan can no longer be read",
            do="Leave the input in place until the run is over",
        ) from error
    if not header.get("FrameOfReferenceUID"):
        raise InputRefused(
            "frame-of-reference-missing",
            "The scan has no Frame of Reference UID, so no SEG can be placed in it",
            do="Write NIfTI",
        )
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    return header


def _straighten(header: Dataset, geometry: Geometry) -> None:
    """Give a single slice the plane of the grid: sources jitter in the last digits."""
    header.ImageOrientationPatient, header.PixelSpacing, step = _plane(geometry)
    header.SpacingBetweenSlices = step
    header.SliceThickness = header.get("SliceThickness") or step


def _plane(geometry: Geometry) -> tuple[list[str], list[str], str]:
    """Return orthonormal orientation, pixel spacing and slice distance as decimal strings."""
    row, column = space.slice_orientation(geometry).reshape(2, 3)
    column = column - (column @ row) * row
    column /= np.linalg.norm(column)
    between_rows, between_columns = space.pixel_spacing(geometry)
    step = geometry.voxel_mm3 / (between_rows * between_columns)  # along the normal
    return (
        [format_number_as_ds(float(x)) for x in (*row, *column)],
        [format_number_as_ds(between_rows), format_number_as_ds(between_columns)],
        format_number_as_ds(step),
    )


def _cut_to_frames(header: Dataset, numbers: Sequence[int], geometry: Geometry) -> None:
    """Leave only these frames in a multi-frame header, with one orientation for all."""
    orientation, spacing, step = _plane(geometry)
    groups = header.PerFrameFunctionalGroupsSequence
    header.PerFrameFunctionalGroupsSequence = [groups[number] for number in numbers]
    header.NumberOfFrames = len(numbers)
    shared = header.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = orientation
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = spacing
    shared.PixelMeasuresSequence[0].SliceThickness = step
    shared.PixelMeasuresSequence[0].SpacingBetweenSlices = step


def _refer_to_frames(dataset: Dataset, numbers: Sequence[int]) -> None:
    """Turn references to frames of the header that was cut into those of the file, from 1."""
    references = {
        id(image): image  # segments share them
        for frame in dataset.PerFrameFunctionalGroupsSequence
        for image in frame.DerivationImageSequence[0].SourceImageSequence
    }
    for image in references.values():
        image.ReferencedFrameNumber = numbers[int(image.ReferencedFrameNumber) - 1] + 1
