"""Small pictures of image files: upright, in proportion, in a usual window."""

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg.errors import InputRefused
from medseg.exporting.thumbnail import SIDE, thumbnail


def test_a_scan_is_its_middle_slice_seen_from_the_feet(tmp_path):
    array = np.zeros((20, 20, 5), np.float32)
    array[12:, 14:, 2] = 100  # right (RAS) and to the front: upper left in the picture
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1, 4, 1])), tmp_path / "s.nii.gz")
    picture = np.asarray(thumbnail(tmp_path / "s.nii.gz"))
    assert picture.shape == (SIDE, SIDE)
    assert picture[10, 10] == 255
    assert picture[-10, -10] == picture[10, -10] == picture[-10, 10] == 0


def test_voxels_that_are_longer_one_way_are_shown_so(tmp_path):
    array = np.random.default_rng(0).random((20, 10, 8)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1, 4, 1])), tmp_path / "s.nii.gz")
    assert thumbnail(tmp_path / "s.nii.gz").size == (SIDE, SIDE // 2)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 4, 1, 1])), tmp_path / "c.nii.gz")
    assert thumbnail(tmp_path / "c.nii.gz").size == (SIDE, round(SIDE * 8 / 20))  # coronal


def test_pictures_of_eight_and_sixteen_bits_are_shown(tmp_path):
    grey = np.tile(np.arange(16), (8, 1))
    for name, pixels in (("a.png", grey.astype(np.uint8)), ("b.png", grey.astype(np.uint16) * 9)):
        Image.fromarray(pixels).save(tmp_path / name)
    assert thumbnail(tmp_path / "a.png").size == (SIDE, SIDE // 2)
    deep = np.asarray(thumbnail(tmp_path / "b.png"))
    assert (deep.min(), deep.max()) == (0, 255)


def test_a_damaged_or_missing_picture_is_refused(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    for name, code in (("bad.png", "file-damaged"), ("gone.png", "path-missing")):
        with pytest.raises(InputRefused) as refusal:
            thumbnail(tmp_path / name)
        assert refusal.value.code == code
