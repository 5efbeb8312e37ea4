"""Mosaics made from their tiles: each voxel must come back to its place."""

import math
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage
from pydicom.valuerep import format_number_as_ds

from medseg import exporting
from medseg.dicom.space import to_lps
from medseg.errors import InputRefused
from medseg.exporting import seg
from medseg.labels import Label, LabelSet
from medseg.reading import read, scan
from medseg.result import Result
from medseg.volume import LabelMap
from tests.grids import geometries
from tests.reading.factory import image, uid, with_pixels, write

STEP, SPACING, FIRST = 4.5, (1.5, 2.0), (-20.0, 35.0, 12.0)  # mm; between rows, between columns
ACROSS, DOWN = np.array([0.8, 0.6, 0.0]), np.array([0.0, 0.0, -1.0])
TILES = np.arange(5 * 6 * 4).reshape(5, 6, 4).astype(np.uint16)  # (K, J, I)


def csa(**tags) -> bytes:
    """Return a CSA2 header; every tag is a list of texts (nibabel, "Siemens CSA header")."""
    out = b"SV10\x04\x03\x02\x01" + struct.pack("<2I", len(tags), 77)
    for name, items in tags.items():
        vr = {"NumberOfImagesInMosaic": b"IS", "SliceNormalVector": b"FD"}.get(name, b"SH")
        out += struct.pack("<64si4s3i", name.encode(), len(items), vr, 0, len(items), 77)
        for item in items:
            text = str(item).encode() + b"\0"
            out += struct.pack("<4i", len(text), len(text), 77, len(text)) + text
            out += b"\0" * (-len(text) % 4)
    return out


def mosaic(tiles=TILES, *, sign=1, number=1, first=FIRST, across=ACROSS, down=DOWN,
           spacing=SPACING, step=STEP):  # fmt: skip
    """Return tiles ``(K, J, I)`` as Siemens writes them; the first of tile 0 lies at ``first``."""
    count, rows, columns = tiles.shape
    side = math.ceil(math.sqrt(count))
    full = np.zeros((side * side, rows, columns), tiles.dtype)
    full[:count] = tiles
    plane = full.reshape(side, side, rows, columns).swapaxes(1, 2)
    ds = with_pixels(image(), plane.reshape(side * rows, side * columns).copy())
    ds.SOPClassUID, ds.Modality, ds.SOPInstanceUID = MRImageStorage, "MR", uid("mosaic", number)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    ds.AcquisitionNumber = ds.InstanceNumber = number
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    shift = (side - 1) / 2 * (rows * spacing[0] * down + columns * spacing[1] * across)
    ds.ImagePositionPatient = texts(np.asarray(first) - shift)
    ds.ImageOrientationPatient = texts([*across, *down])
    ds.PixelSpacing = texts(spacing)
    ds.SpacingBetweenSlices, ds.SliceThickness = texts([step])[0], 3
    ds.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", count)
    with_csa(ds, NumberOfImagesInMosaic=[count],
             SliceNormalVector=[f"{x:.8f}" for x in sign * np.cross(across, down)],
             AcquisitionMatrixText=["4*6"])  # fmt: skip
    return ds


def with_csa(ds: Dataset, **tags) -> Dataset:
    block = ds.private_block(0x29, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", csa(**tags))
    return ds


def texts(values):
    return [format_number_as_ds(float(value)) for value in values]


def refused(folder) -> InputRefused:
    with pytest.raises(InputRefused) as refusal:
        read(folder)
    return refusal.value


@pytest.mark.parametrize("sign", [1, -1])
def test_tiles_become_slices_with_their_own_positions(tmp_path, sign):
    volume = read(write(tmp_path, mosaic(sign=sign)))
    order = slice(None, None, sign)  # along row x column, whichever way the tiles run
    np.testing.assert_array_equal(volume.array, TILES[order].T)
    places = to_lps(volume.geometry.positions(np.array([[0, 0, k] for k in range(5)])))
    towards = sign * STEP * np.cross(ACROSS, DOWN)
    np.testing.assert_allclose(places[order], [FIRST + n * towards for n in range(5)], atol=1e-9)
    steps = volume.geometry.affine[:3, :2].T
    np.testing.assert_allclose(to_lps(steps), [ACROSS * SPACING[1], DOWN * SPACING[0]], atol=1e-9)
    assert [finding.code for finding in volume.findings] == ["mosaic-unfolded"]


@settings(max_examples=25, deadline=None)
@given(
    geometries(st.tuples(st.integers(2, 5), st.integers(2, 5), st.integers(1, 17)), sheared=False),
    st.sampled_from([1, -1]),
)
def test_nibabel_unfolds_any_mosaic_to_the_same_voxels_at_the_same_places(
    tmp_path_factory, grid, sign
):
    i, j, k = grid.shape
    orientation = to_lps(grid.directions[:, :2].T)
    tiles = np.random.default_rng(0).integers(0, 4096, (k, j, i), np.uint16)
    ds = mosaic(tiles, sign=sign, first=to_lps(grid.affine[:3, 3]), across=orientation[0],
                down=orientation[1], spacing=(grid.spacing[1], grid.spacing[0]),
                step=grid.spacing[2])  # fmt: skip
    ds.SliceThickness = ds.SpacingBetweenSlices  # stands for the step of a single slice
    volume = read(write(tmp_path_factory.mktemp("mosaic"), ds))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nibabel.nicom.dicomwrappers import MosaicWrapper

        theirs = MosaicWrapper(ds)
    index = np.argwhere(np.ones(grid.shape))[:: max(1, i * j * k // 50)]
    affine = np.diag([-1, -1, 1, 1]) @ theirs.affine  # theirs is LPS, indexed (row, column, tile)
    places = index[:, [1, 0, 2]] @ affine[:3, :3].T + affine[:3, 3]
    inverse = np.linalg.inv(volume.geometry.affine)
    ours = places @ inverse[:3, :3].T + inverse[:3, 3]  # our index of their places
    found = np.rint(ours).astype(int)
    np.testing.assert_allclose(volume.geometry.positions(found), places, atol=1e-4)
    np.testing.assert_array_equal(volume.array[tuple(found.T)], tiles.T[tuple(index.T)])


def test_mosaics_at_one_position_are_volumes_told_apart(tmp_path):
    found = scan(write(tmp_path, mosaic(), mosaic(TILES + 7, number=2)))
    assert [one.geometry.shape for one in found] == [(4, 6, 5)] * 2
    assert [one.findings[0].words for one in found] == [
        "This volume: acquisition number 1", "This volume: acquisition number 2"
    ]  # fmt: skip
    np.testing.assert_array_equal(found[1].read().array - found[0].read().array, 7)


def test_where_no_attribute_tells_mosaics_apart_the_files_do(tmp_path):
    second = mosaic(TILES + 7, number=2)
    second.AcquisitionNumber = 1
    assert len(scan(write(tmp_path, mosaic(), second))) == 2


def drop_csa(ds):
    del ds[0x0029, 0x1010]


def cut_csa(ds):
    ds[0x0029, 0x1010].value = ds[0x0029, 0x1010].value[:120]


def without_normal(ds):
    with_csa(ds, NumberOfImagesInMosaic=[5])


def other_normal(ds):
    with_csa(ds, NumberOfImagesInMosaic=[5], SliceNormalVector=[0.0, 0.0, 1.0])


def other_count(ds):
    with_csa(ds, NumberOfImagesInMosaic=[7], SliceNormalVector=[-0.6, 0.8, 0.0])


def no_count(ds):
    del ds[0x0019, 0x100A]
    with_csa(ds, SliceNormalVector=[-0.6, 0.8, 0.0])


def odd_size(ds):
    with_pixels(ds, np.zeros((17, 12), np.uint16))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop_csa, "there is no CSA header"),
        (cut_csa, "its CSA header is damaged"),
        (without_normal, "the CSA header has no slice normal"),
        (other_normal, "is not that of the image"),
        (other_count, "the number of its tiles is given as 5 and 7"),
        (no_count, "the number of its tiles is given as nothing"),
        (odd_size, "12 x 17 pixels do not divide into 5 tiles"),
        (lambda ds: delattr(ds, "SpacingBetweenSlices"), "there is no SpacingBetweenSlices"),
        (lambda ds: setattr(ds, "SpacingBetweenSlices", 0), "Spacing Between Slices is 0 mm"),
        (lambda ds: delattr(ds, "ImagePositionPatient"), "there is no ImagePositionPatient"),
    ],
)
def test_a_mosaic_that_does_not_say_how_it_unfolds_is_refused(tmp_path, change, words):
    ds = mosaic()
    change(ds)
    refusal = refused(write(tmp_path, ds))
    assert refusal.code == "mosaic"
    assert words in refusal.found
    assert "dcm2niix" in refusal.do


def test_the_count_of_either_header_suffices(tmp_path):
    ds = mosaic()
    del ds[0x0019, 0x100A]
    assert read(write(tmp_path, ds)).geometry.shape == (4, 6, 5)


def test_a_seg_is_not_written_and_the_reason_told(tmp_path):
    volume = read(write(tmp_path / "in", mosaic()))
    labels = LabelMap((volume.array > 40).astype(np.uint8), volume.geometry,
                      LabelSet((Label(1, "Liver"),)))  # fmt: skip
    paths, findings = exporting.write(Result(volume, labels), tmp_path / "out", ["nifti", "seg"])
    assert list(paths) == ["nifti"]
    assert [finding.code for finding in findings] == ["seg-needs-images"]
    with pytest.raises(InputRefused) as refusal:
        seg.write(labels, tmp_path / "seg.dcm", volume)
    assert refusal.value.code == "source-frames"
