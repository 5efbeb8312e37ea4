"""A phantom as a DICOM CT series, oblique and shuffled, with its truth beside it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from medseg.dicom.space import pixel_spacing, slice_normal, slice_orientation, slice_position
from medseg.files import make_folder, whole_file
from medseg.geometry import Geometry
from medseg.phantoms.body import body
from medseg.phantoms.nifti import write_nifti
from medseg.phantoms.solids import rotation
from medseg.volume import LabelMap, Volume

SHAPE = (200, 168, 44)
SPACING_MM = (1.6, 1.6, 4.0)
TILT = (0.035, -0.05, 0.0)  # 4 and 6 degrees: oblique about two axes
INTERCEPT = -1024
LARGEST_STORED = 4095  # 12 bits


def study_grid() -> Geometry:
    """Return the grid of the demo study: LPS order, oblique, voxels of 1.6 x 1.6 x 4 mm."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(*TILT) * SPACING_MM * (-1, -1, 1)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return Geometry(SHAPE, affine)


def write_study(folder: Path, seed: int, geometry: Geometry | None = None) -> LabelMap:
    """Write a phantom as a CT series into a folder, and its truth as NIfTI beside the folder.

    One file a slice, in an order of names that is not that of the slices. The patient is
    fictitious and said to be. The same seed gives the same bytes.

    Parameters
    ----------
    folder : Path
        Made if missing; files of the same name are replaced. The truth is at
        ``truth_path(folder)``: who scans the folder finds the series and nothing else.
    seed : int
        Of :func:`medseg.phantoms.body.body`.
    geometry : Geometry or None
        The grid, whose axes i and j must be at right angles; :func:`study_grid` if None. The
        slices may drift (a tilted gantry).

    Returns
    -------
    LabelMap
        The truth, on the grid as it was given; the files state it to 1e-9.
    """
    grid = study_grid() if geometry is None else geometry
    volume, truth = body(seed, grid)
    make_folder(folder)
    for name, image in series_of(volume, seed):
        with whole_file(folder / name) as aside:
            image.save_as(aside, enforce_file_format=True)
    write_nifti(truth_path(folder), truth.array, grid)
    return truth


def series_of(volume: Volume, seed: int) -> Iterator[tuple[str, FileDataset]]:
    """Yield file name and content of each slice of a CT; names do not follow the slices.

    Whole numbers from -1024 to 3071 HU are kept, others cut off. The grid is as for
    :func:`write_study`; the same volume and seed give the same bytes.
    """
    slices = volume.geometry.shape[2]
    numbers = np.random.default_rng([seed, 2]).permutation(slices) + 1
    for k, number in enumerate(numbers.tolist()):
        yield f"IM{number:04d}.dcm", _slice(volume, k, seed)


def truth_path(folder: Path) -> Path:
    """Return where the truth of the study in a folder lies."""
    return folder.with_name(f"{folder.name}_truth.nii.gz")


def _uid(*words: object) -> UID:
    """Return a UID that depends on nothing but these words (PS3.5 B.2: 2.25 and a UUID)."""
    name = " ".join(map(str, ("medseg phantom", *words)))
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}")


def _decimals(values: np.ndarray | tuple[float, ...]) -> list[str]:
    """Return decimal strings of at most 16 characters, as PS3.5 6.2 demands; no minus zero."""
    return [format_number_as_ds(round(float(value), 9) + 0.0) for value in values]


def _slice(volume: Volume, k: int, seed: int) -> FileDataset:
    """Return slice ``k`` as a CT Image (PS3.3 A.3)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = _uid("instance", seed, k)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _uid("implementation")
    meta.ImplementationVersionName = "MEDSEG"
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    _describe_patient_and_study(image, seed)
    _describe_series(image, seed)
    _describe_plane(image, volume.geometry, k)
    _describe_pixels(image, volume.array[:, :, k])
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    return image


def _describe_patient_and_study(image: Dataset, seed: int) -> None:
    """State a fictitious patient and a fixed day."""
    image.SpecificCharacterSet = "ISO_IR 100"
    image.PatientName = "Phantom^Medseg"
    image.PatientID = f"MEDSEG-PHANTOM-{seed}"
    image.PatientBirthDate = "19700101"
    image.PatientSex = "O"
    image.PatientComments = "Synthetic phantom made by software; no real patient"
    image.QualityControlSubject = "YES"
    image.PatientIdentityRemoved = "YES"
    image.DeidentificationMethod = "Fictitious from the start"
    image.StudyInstanceUID = _uid("study", seed)
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = "20250101"
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = "120000"
    image.StudyID = "1"
    image.StudyDescription = "Abdomen phantom"
    image.AccessionNumber = ""
    image.ReferringPhysicianName = ""


def _describe_series(image: Dataset, seed: int) -> None:
    """State a CT of the abdomen in the portal venous phase."""
    image.Modality = "CT"
    image.SeriesInstanceUID = _uid("series", seed)
    image.SeriesNumber = "2"
    image.SeriesDescription = "Portal venous phantom"
    image.FrameOfReferenceUID = _uid("frame of reference", seed)
    image.PositionReferenceIndicator = ""
    image.PatientPosition = "HFS"
    image.BodyPartExamined = "ABDOMEN"
    image.Manufacturer = "medseg"
    image.ManufacturerModelName = "Phantom"
    image.DeviceSerialNumber = "0"
    image.SoftwareVersions = "1"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.AcquisitionNumber = "1"
    image.KVP = "120"
    image.BurnedInAnnotation = "NO"


def _describe_plane(image: Dataset, geometry: Geometry, k: int) -> None:
    """State where the slice lies."""
    orientation = slice_orientation(geometry)
    position = slice_position(geometry, k)
    normal = slice_normal(orientation.tolist())
    step = slice_position(geometry, 1) - slice_position(geometry, 0)
    image.InstanceNumber = str(k + 1)
    image.ImagePositionPatient = _decimals(position)
    image.ImageOrientationPatient = _decimals(orientation)
    image.PixelSpacing = _decimals(pixel_spacing(geometry))
    image.SliceThickness = _decimals((abs(float(step @ normal)),))[0]
    image.SliceLocation = _decimals((float(position @ normal),))[0]


def _describe_pixels(image: Dataset, hu: np.ndarray) -> None:
    """Store the HU ``(I, J)`` of one slice: rows run along j, columns along i."""
    stored = np.clip(hu - INTERCEPT, 0, LARGEST_STORED).astype("<i2").T  # (J, I)
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = stored.shape
    image.BitsAllocated = 16
    image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 1
    image.RescaleIntercept = str(INTERCEPT)
    image.RescaleSlope = "1"
    image.RescaleType = "HU"
    image.WindowCenter = "40"
    image.WindowWidth = "400"
    image.add_new("PixelData", "OW", stored.tobytes())
