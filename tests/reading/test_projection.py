"""DICOM images that lie nowhere, for classification."""

import numpy as np
import pytest
from pydicom.uid import DigitalXRayImageStorageForPresentation

from medseg.errors import InputRefused
from medseg.geometry import Geometry
from medseg.reading.image import read_image
from medseg.reading.projection import is_projection, read_projection
from tests.conftest import _image


def write_radiograph(path, pixels, photometric="MONOCHROME2", modality="DX"):
    rows, columns = pixels.shape
    image = _image(DigitalXRayImageStorageForPresentation,
                   Geometry((columns, rows, 1), np.eye(4)), "radiograph")  # fmt: skip
    image.Modality, image.PhotometricInterpretation = modality, photometric
    del image.FrameOfReferenceUID
    image.PixelData = pixels.astype(np.uint16).tobytes()
    image.save_as(path, enforce_file_format=True)
    return path


def test_a_radiograph_is_read_by_columns_and_rows(tmp_path):
    pixels = np.arange(12).reshape(3, 4)
    volume = read_image(write_radiograph(tmp_path / "a.dcm", pixels))
    assert volume.array[:, :, 0].T.tolist() == pixels.tolist()
    assert volume.modality == "DX"
    assert "SECRET" not in volume.source.case


def test_white_is_bright_whatever_the_vendor_stores(tmp_path):
    pixels = np.arange(12).reshape(3, 4)
    volume = read_projection(write_radiograph(tmp_path / "a.dcm", pixels, "MONOCHROME1"))
    assert volume.array[:, :, 0].T.tolist() == (11 - pixels).tolist()


def test_a_slice_of_a_volume_is_no_projection(tmp_path):
    path = write_radiograph(tmp_path / "a.dcm", np.ones((3, 4)), modality="CT")
    assert not is_projection(path)
    with pytest.raises(InputRefused, match="no single grey image"):
        read_projection(path)
