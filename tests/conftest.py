"""Factories of small scans that tests of several rooms share."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # before some test imports Keras itself

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import format_number_as_ds

from medseg.dicom import space
from medseg.dicom.uids import uid_from
from medseg.geometry import Geometry
from medseg.volume import Source, Volume


def _strings(values) -> list[str]:
    return [format_number_as_ds(float(value)) for value in values]


def _image(sop_class: str, geometry: Geometry, instance: str) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = sop_class
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = uid_from(instance)
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.PatientName, image.PatientID = "Doe^Jane", "SECRET-1"
    image.PatientBirthDate, image.PatientSex = "19700101", "F"
    image.StudyInstanceUID, image.SeriesInstanceUID = uid_from("study"), uid_from("series")
    image.FrameOfReferenceUID, image.PositionReferenceIndicator = uid_from("frame"), ""
    image.StudyDate, image.StudyTime, image.StudyID = "20250102", "101112", "7"
    image.AccessionNumber, image.ReferringPhysicianName = "A1", ""
    image.Modality, image.SeriesNumber, image.Manufacturer = "MR", 3, "none"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Columns, image.Rows, _ = geometry.shape
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelRepresentation = 0
    return image


def _write_slices(folder: Path, geometry: Geometry, pixels: np.ndarray) -> list[tuple[Path, int]]:
    frames = []
    for k in range(geometry.shape[2]):
        image = _image(MRImageStorage, geometry, f"slice {k}")
        image.InstanceNumber = geometry.shape[2] - k
        image.ImagePositionPatient = _strings(space.slice_position(geometry, k))
        image.ImageOrientationPatient = _strings(space.slice_orientation(geometry))
        image.PixelSpacing = _strings(space.pixel_spacing(geometry))
        image.SliceThickness = "1"
        image.PixelData = pixels[k].tobytes()
        path = folder / f"{(k * 7) % 11:02d}-{k}.dcm"  # names do not follow space
        image.save_as(path, enforce_file_format=True)
        frames.append((path, 0))
    return frames


def _write_frames(folder: Path, geometry: Geometry, pixels: np.ndarray) -> list[tuple[Path, int]]:
    """Write one enhanced file whose frames run against k and stand after two foreign ones."""
    image = _image(EnhancedMRImageStorage, geometry, "frames")
    shared = Dataset()
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = _strings(space.pixel_spacing(geometry))
    shared.PixelMeasuresSequence[0].SliceThickness = "1"
    image.SharedFunctionalGroupsSequence = [shared]
    slices = geometry.shape[2]
    groups = []
    for k in [0, 1, *reversed(range(slices))]:
        group = Dataset()
        group.PlanePositionSequence, group.PlaneOrientationSequence = [Dataset()], [Dataset()]
        group.PlanePositionSequence[0].ImagePositionPatient = _strings(
            space.slice_position(geometry, k)
        )
        group.PlaneOrientationSequence[0].ImageOrientationPatient = _strings(
            space.slice_orientation(geometry)
        )
        groups.append(group)
    image.PerFrameFunctionalGroupsSequence = groups
    image.NumberOfFrames = slices + 2
    image.PixelData = np.concatenate([pixels[:2], pixels[::-1]]).tobytes()
    path = folder / "frames.dcm"
    image.save_as(path, enforce_file_format=True)
    return [(path, 1 + slices - k) for k in range(slices)]


@pytest.fixture(scope="session")
def make_study():
    """Return a factory that writes a DICOM series and gives the volume as reading does."""

    def make(folder: Path, geometry: Geometry, *, multi_frame: bool = False) -> Volume:
        folder.mkdir(parents=True, exist_ok=True)
        array = np.random.default_rng(0).integers(0, 999, geometry.shape, np.uint16)
        write = _write_frames if multi_frame else _write_slices
        frames = write(folder, geometry, np.ascontiguousarray(array.T))
        files = tuple(dict.fromkeys(path for path, _ in frames))
        source = Source("d5e1b1b3-003", "dicom", files, tuple(frames))
        return Volume(array.astype(np.float32), geometry, "MR", source)

    return make


@pytest.fixture(scope="session")
def make_grid():
    """Return a factory of oblique grids, mirrored and sheared on request."""

    def make(
        shape=(7, 6, 5), spacing=(0.7, 0.9, 2.5), *, seed=3, mirrored=False, shear=0.0
    ) -> Geometry:
        turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
        turn[:, 2] = np.cross(turn[:, 0], turn[:, 1]) * (-1 if mirrored else 1)
        affine = np.eye(4)
        affine[:3, :3] = turn * spacing
        affine[:3, 2] += shear * spacing[2] * turn[:, 1]  # a tilted gantry slides the rows
        affine[:3, 3] = (-31.25, 12.5, 88.0)
        return Geometry(shape, affine)

    return make


@pytest.fixture
def unprivileged():
    """Return a context in which root is nobody, with a folder of nobody's and copies in it."""

    @contextmanager
    def become_nobody(*copied: Path):
        folder = Path(tempfile.mkdtemp())
        for path in copied:
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, folder / path.name)
        was_root = os.geteuid() == 0
        if was_root:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, 65534, 65534)
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if was_root:
                os.seteuid(0)
            folder.chmod(0o700)
            shutil.rmtree(folder)

    return become_nobody


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    mounted = (
        shutil.which("mount")
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )
    if not mounted:
        pytest.skip("needs the right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)
