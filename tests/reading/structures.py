"""Small RT Structure Sets, with contours given in voxels of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage
from pydicom.valuerep import format_number_as_ds

from medseg.dicom import space
from medseg.dicom.uids import uid_from
from medseg.geometry import Geometry

SQUARE = ((0.5, 0.5), (3.5, 0.5), (3.5, 4.5), (0.5, 4.5))  # 3 x 4 voxels


def outline(grid: Geometry, points: Sequence[Sequence[float]], k: float, axis: int = 2):
    """Return points of a slice, in voxels along its two axes, as LPS mm."""
    index = np.insert(np.asarray(points, dtype=float), axis, k, axis=1)
    return space.to_lps(grid.positions(index))


def contour(points, *images: str, kind: str = "CLOSED_PLANAR") -> Dataset:
    """Return LPS points as a contour that was drawn on these images (instance UIDs)."""
    item = Dataset()
    item.ContourGeometricType = kind
    item.NumberOfContourPoints = len(points)
    item.ContourData = [format_number_as_ds(float(one)) for one in np.ravel(points)]
    if images:
        item.ContourImageSequence = [_image(uid) for uid in images]
    return item


def _image(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPInstanceUID = uid
    return item


def structure_set(*rois: tuple[int, str, Sequence[Dataset]], series: str = "", frame="") -> Dataset:
    """Return an RT Structure Set of ``(number, name, contours)``, on a series if one is given."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = RTStructureSetStorage, uid_from("structures")
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid_from("study"), uid_from("drawn")
    ds.Modality, ds.PatientName = "RTSTRUCT", "Secret^Name"
    ds.StructureSetROISequence, ds.ROIContourSequence = [], []
    for number, name, contours in rois:
        described, drawn = Dataset(), Dataset()
        described.ROINumber, described.ROIName = number, name
        described.ReferencedFrameOfReferenceUID = frame
        drawn.ReferencedROINumber, drawn.ContourSequence = number, list(contours)
        drawn.ROIDisplayColor = [10, 20, 30]
        ds.StructureSetROISequence.append(described)
        ds.ROIContourSequence.append(drawn)
    if series:
        refer(ds, series)
    return ds


def refer(ds: Dataset, series: str, *images: str) -> None:
    """Name a series, and images of it, as what a structure set was drawn on."""
    study, one, frame = Dataset(), Dataset(), Dataset()
    one.SeriesInstanceUID = series
    one.ContourImageSequence = [_image(uid) for uid in images]
    study.RTReferencedSeriesSequence = [one]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = uid_from("frame"), [study]
    ds.ReferencedFrameOfReferenceSequence = [
        *ds.get("ReferencedFrameOfReferenceSequence", ()),
        frame,
    ]


def save(path: Path, ds: Dataset) -> Path:
    ds.save_as(path, enforce_file_format=True)
    return path
