"""Small sound files of many kinds, with a marker in every text that may name a person."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from io import BytesIO

import nibabel
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.encoders.base import get_encoder
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    PositronEmissionTomographyImageStorage,
    RLELossless,
    SegmentationStorage,
)

from medseg.geometry import Geometry
from medseg.volume import Volume
from tests.reading.factory import enhanced, image, stored, with_pixels
from tests.reading.structures import SQUARE, contour, outline, structure_set

MARKER = "ZZPHIZZ"  # stands for the patient: in no message, finding or repr, whatever the damage
SCAN = Volume(np.zeros((6, 7, 4), np.float32), Geometry((6, 7, 4), np.diag([1.5, 2, 3, 1])))
_PRIVATE = (
    "PatientName", "PatientID", "PatientComments", "OtherPatientNames", "PatientAddress",
    "AccessionNumber", "StudyID", "StudyDescription", "SeriesDescription", "ProtocolName",
    "InstitutionName", "ReferringPhysicianName", "OperatorsName", "ImageComments", "StationName",
    "DeviceSerialNumber", "RequestedProcedureDescription", "ContrastBolusAgent",
)  # fmt: skip


def marked(ds: Dataset) -> Dataset:
    """Put the marker into texts at the top, in a sequence and in a private block."""
    for keyword in _PRIVATE:
        setattr(ds, keyword, MARKER)
    request = Dataset()
    request.RequestedProcedureID = request.ScheduledProcedureStepDescription = MARKER
    ds.RequestAttributesSequence = Items([request])
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "UN", MARKER.encode() + b" ")
    block.add_new(0x10, "LO", MARKER)
    return ds


def encoded(ds: Dataset, syntax: UID | None = None) -> bytes:
    """Return a data set as the bytes of a file."""
    if syntax is not None:
        ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    stream = BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def ct(k: int = 0, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    ds = marked(image(k))
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = stored(k).byteswap().tobytes()
    if syntax.is_encapsulated:
        ds = with_pixels(ds, stored(k, rows=40, columns=40))  # less is none for JPEG 2000
        ds.compress(syntax)
        return encoded(ds)
    return encoded(ds, syntax)


def padded() -> bytes:
    ds = with_pixels(marked(image()), stored(0).astype(np.int16) - 7)
    ds.PixelPaddingValue, ds.PixelPaddingRangeLimit = -7, -6
    return encoded(ds)


def pet() -> bytes:
    ds = marked(image())
    ds.SOPClassUID, ds.Modality, ds.Units = PositronEmissionTomographyImageStorage, "PT", "BQML"
    ds.RescaleSlope, ds.PhotometricInterpretation = 0.37, "MONOCHROME1"
    return encoded(ds)


def lut() -> bytes:
    ds, table = marked(image()), Dataset()
    table.add_new("LUTDescriptor", "US", [200, 0, 16])
    table.add_new("LUTData", "US", list(range(200)))
    table.ModalityLUTType, table.LUTExplanation = "HU", MARKER
    ds.ModalityLUTSequence = Items([table])
    return encoded(ds)


def palette() -> bytes:
    ds = marked(image())
    ds.PhotometricInterpretation = "PALETTE COLOR"
    for colour in ("Red", "Green", "Blue"):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(ds, f"{colour}PaletteColorLookupTableData", bytes(8))
    return encoded(ds)


def frames(sop_class: UID | None = None, syntax: UID | None = None) -> bytes:
    positions = [(0.0, 0.0, 3.0 * k) for k in (2, 0, 1)]
    ds = marked(enhanced(positions, np.stack([stored(k) for k in (2, 0, 1)])))
    ds.SOPClassUID = sop_class or ds.SOPClassUID
    if syntax is not None:
        ds.compress(syntax)
    return encoded(ds)


def seg() -> bytes:
    """Return a BINARY Segmentation of two segments on three slices (PS3.3 A.51)."""
    ds = Dataset.from_json(enhanced([(0, 0, 3.0 * k) for k in range(4)], stored(0)).to_json())
    ds.file_meta = FileMetaDataset()
    ds.SOPClassUID, ds.Modality, ds.SegmentationType = SegmentationStorage, "SEG", "BINARY"
    del ds.PixelData
    marked(ds)
    ds.SegmentSequence = Items([_segment(number) for number in (1, 2)])
    for frame, number in zip(ds.PerFrameFunctionalGroupsSequence, (1, 1, 2, 2), strict=True):
        item = Dataset()
        item.ReferencedSegmentNumber = number
        frame.SegmentIdentificationSequence = Items([item])
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit = ds.PixelRepresentation = 0
    ds.add_new("PixelData", "OB", np.packbits(np.arange(80) % 3 == 0).tobytes())
    return encoded(ds, ExplicitVRLittleEndian)


def _segment(number: int) -> Dataset:
    segment, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "10200004", "SCT", "Liver"
    segment.SegmentNumber, segment.SegmentLabel = number, f"Part {number}"
    segment.SegmentedPropertyCategoryCodeSequence = Items([code])
    segment.SegmentedPropertyTypeCodeSequence = Items([code])
    return segment


def nifti(kind: type[np.generic] = np.int16, version: int = 1) -> bytes:
    """Return a NIfTI file of 3 x 4 x 5 voxels."""
    make = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    affine = np.array([[-1.5, 0, 0, 40], [0, -2, 0, 50], [0, 0, 3, -60], [0, 0, 0, 1.0]])
    values = make(np.arange(60).reshape(3, 4, 5).astype(kind), affine)
    values.set_qform(affine, 1)
    values.set_sform(affine, 1)
    for text in ("descrip", "aux_file", "intent_name"):
        values.header[text] = MARKER.encode()
    return values.to_bytes()


def structures() -> bytes:
    """Return an RT Structure Set of two structures on the grid of ``SCAN``."""
    loops = [contour(outline(SCAN.geometry, SQUARE, k)) for k in (1, 2)]
    return encoded(marked(structure_set((1, "Part 1", loops), (2, "Part 2", loops[:1]))))


def nrrd() -> bytes:
    head = f"""NRRD0004
# {MARKER}
type: short
dimension: 3
space: left-posterior-superior
sizes: 3 4 5
space directions: (1.5,0,0) (0,2,0) (0,0,3)
endian: little
encoding: raw
space origin: (-40,-50,-60)

"""
    return head.encode() + np.arange(60, dtype="<i2").tobytes()


def metaimage() -> bytes:
    head = f"""ObjectType = Image
NDims = 3
Comment = {MARKER}
BinaryData = True
BinaryDataByteOrderMSB = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = -40 -50 -60
ElementSpacing = 1.5 2 3
DimSize = 3 4 5
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""
    return head.encode() + np.arange(60, dtype="<i2").tobytes()


def mgh() -> bytes:
    affine = np.array([[-1.5, 0, 0, 40], [0, 0, 2, 50], [0, -3, 0, -60], [0, 0, 0, 1.0]])
    values = nibabel.MGHImage(np.arange(60).reshape(3, 4, 5).astype(np.int16), affine)
    return gzip.compress(values.to_bytes(), mtime=0)


_ALL: dict[str, Callable[[], bytes]] = {
    "ct.dcm": ct,
    "implicit.dcm": lambda: ct(syntax=ImplicitVRLittleEndian),
    "bigendian.dcm": lambda: ct(syntax=ExplicitVRBigEndian),
    "deflated.dcm": lambda: ct(syntax=DeflatedExplicitVRLittleEndian),
    "rle.dcm": lambda: ct(syntax=RLELossless),
    "jpegls.dcm": lambda: ct(syntax=JPEGLSLossless),
    "jpeg2000.dcm": lambda: ct(syntax=JPEG2000Lossless),
    "padded.dcm": padded,
    "pet.dcm": pet,
    "lut.dcm": lut,
    "palette.dcm": palette,
    "frames.dcm": frames,
    "frames-rle.dcm": lambda: frames(EnhancedMRImageStorage, RLELossless),
    "seg.dcm": seg,
    "structures.dcm": structures,
    "plain.nii": nifti,
    "floats.nii": lambda: nifti(np.float64),
    "second.nii": lambda: nifti(np.uint8, version=2),
    "packed.nii.gz": lambda: gzip.compress(nifti(), mtime=0),
    "plain.nrrd": nrrd,
    "plain.mha": metaimage,
    "packed.mgz": mgh,
}
_ENCODED = {"jpegls.dcm": JPEGLSLossless, "jpeg2000.dcm": JPEG2000Lossless}
GOOD = {name: make for name, make in _ALL.items()
        if name not in _ENCODED or get_encoder(_ENCODED[name]).is_available}  # fmt: skip
"""A function that makes each file that can be made here; its name's end says how it is read."""
