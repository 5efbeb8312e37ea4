"""Tiny DICOM series whose voxel values are known: value = 100 k + 10 j + i, then rescaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

COLUMNS, ROWS, SLICES = 4, 5, 6
PATIENT = {
    "PatientName": "Secret^Name",
    "PatientID": "SECRETID",
    "PatientBirthDate": "19011231",
    "AccessionNumber": "SECRETACC",
    "StudyDate": "20230405",
    "SeriesDescription": "SECRET chest thin",
}
Change = Callable[[Dataset, int], None]


def uid(*words: object) -> str:
    return generate_uid(prefix="2.25.", entropy_srcs=["factory", *map(str, words)])


def stored(k: int, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    j, i = np.mgrid[:rows, :columns]
    return (100 * k + 10 * j + i).astype(np.uint16)


def image(k: int = 0, *, study: str = "1", series: str = "1", position=None) -> Dataset:
    """Return slice k of an axial CT: pixels of 2 mm between rows, 1 mm between columns."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = uid(study, series, k)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid(study), uid(study, series)
    ds.FrameOfReferenceUID = uid(study, "frame")
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", int(series), k + 1
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    for keyword, value in PATIENT.items():
        setattr(ds, keyword, value)
    ds.ImagePositionPatient = list(position or (-10.0, -20.0, 30.0 + 3.0 * k))
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [2.0, 1.0], 5.0
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    return with_pixels(ds, stored(k))


def with_pixels(ds: Dataset, values: np.ndarray) -> Dataset:
    """Put 16 bit pixels ``(J, I)`` or frames ``(N, J, I)`` into an image."""
    ds.Rows, ds.Columns = values.shape[-2:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    ds.PixelData = values.tobytes()
    return ds


def write(folder: Path, *images: Dataset) -> Path:
    """Write images under names that say nothing of their order."""
    folder.mkdir(parents=True, exist_ok=True)
    for ds in images:
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        name = uid(len(list(folder.iterdir())), ds.SOPInstanceUID)[-8:]
        ds.save_as(folder / name, enforce_file_format=True)
    return folder


def series(folder: Path, *changes: Change, slices: int = SLICES, **which: str) -> Path:
    """Write a CT series; each change is called with an image and its number k."""
    images = [image(k, **which) for k in range(slices)]
    for k, ds in enumerate(images):
        for change in changes:
            change(ds, k)
    return write(folder, *images)


def enhanced(positions: Sequence[Sequence[float]], values: np.ndarray) -> Dataset:
    """Return an enhanced CT of frames at these positions; its geometry is in groups only."""
    ds = image()
    ds.SOPClassUID, ds.NumberOfFrames = EnhancedCTImageStorage, len(positions)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                    "SliceThickness", "RescaleSlope", "RescaleIntercept"):  # fmt: skip
        delattr(ds, keyword)
    shared, frames = Dataset(), []
    shared.PixelMeasuresSequence = Items([_item(PixelSpacing=[2.0, 1.0], SliceThickness=5.0)])
    shared.PlaneOrientationSequence = Items([_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])])
    for n, position in enumerate(positions):
        frame = Dataset()
        frame.PlanePositionSequence = Items([_item(ImagePositionPatient=list(position))])
        rescale = _item(RescaleSlope=1 + n, RescaleIntercept=-1024, RescaleType="HU")
        frame.PixelValueTransformationSequence = Items([rescale])
        frames.append(frame)
    ds.SharedFunctionalGroupsSequence = Items([shared])
    ds.PerFrameFunctionalGroupsSequence = Items(frames)
    return with_pixels(ds, values)


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
