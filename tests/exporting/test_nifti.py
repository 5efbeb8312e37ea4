import gzip
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.errors import OutputFailed
from medseg.exporting import nifti
from medseg.geometry import Geometry
from medseg.labels import Label, LabelSet
from medseg.result import Result
from medseg.volume import LabelMap, Source, Volume


def make_labels(geometry: Geometry, highest: int = 2, dtype=np.uint8) -> LabelMap:
    array = np.random.default_rng(1).integers(0, highest + 1, geometry.shape).astype(dtype)
    array.flat[0] = highest
    named = LabelSet(tuple(Label(n, f"Label {n}") for n in range(1, highest + 1)))
    return LabelMap(array, geometry, named)


def from_nifti(path) -> Volume:
    image = nib.Nifti1Image.from_filename(path)
    return Volume(
        np.asarray(image.dataobj, np.float32),
        Geometry(image.shape, image.affine),
        source=Source("case", "nifti", (path,), header=image.header),
    )


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 8)] * 3),
    seed=st.integers(0, 2**32),
    mirrored=st.booleans(),
    shear=st.sampled_from([0.0, 0.3]),
)
def test_a_mask_comes_back_bit_for_bit_and_in_place(
    tmp_path_factory, make_grid, shape, spacing, seed, mirrored, shear
):
    # Fails if the affine is written in LPS, transposed, or the array in C order.
    grid = make_grid(shape, spacing, seed=seed, mirrored=mirrored, shear=shear)
    labels = make_labels(grid)
    path = tmp_path_factory.mktemp("nifti") / "mask.nii.gz"
    nifti.write(labels, path)
    nifti.verify(path, labels)
    image = nib.Nifti1Image.from_filename(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj), labels.array)
    assert Geometry(image.shape, image.affine).same_as(grid)


def test_a_mask_carries_the_codes_and_places_of_its_nifti_source_exactly(tmp_path, make_grid):
    # The two forms disagree on purpose: a reader that prefers either must find mask on scan.
    source = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), None)
    source.set_qform(np.diag([-1.0, 1.0, 2.0, 1.0]), 1)
    source.set_sform(make_grid((4, 5, 6)).affine, 4)
    source.header.set_xyzt_units("mm")
    nib.save(source, tmp_path / "scan.nii.gz")
    scan = from_nifti(tmp_path / "scan.nii.gz")
    nifti.write(make_labels(scan.geometry), tmp_path / "mask.nii.gz", scan)
    mask = nib.Nifti1Image.from_filename(tmp_path / "mask.nii.gz").header
    np.testing.assert_array_equal(mask.get_sform(), scan.source.header.get_sform())
    np.testing.assert_array_equal(mask.get_qform(), scan.source.header.get_qform())
    assert (int(mask["sform_code"]), int(mask["qform_code"])) == (4, 1)


def test_a_mask_on_another_grid_than_its_source_gets_a_place_of_its_own(tmp_path, make_grid):
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6)), make_grid((4, 5, 6)).affine), tmp_path / "a.nii")
    scan = from_nifti(tmp_path / "a.nii")
    labels = make_labels(make_grid((4, 5, 6), (3, 3, 3)))
    nifti.write(labels, tmp_path / "mask.nii.gz", scan)
    nifti.verify(tmp_path / "mask.nii.gz", labels)


def test_a_mask_of_dicom_has_both_forms_with_the_code_of_the_scanner(tmp_path, make_grid):
    grid = make_grid()
    nifti.write(make_labels(grid), tmp_path / "mask.nii.gz", None)
    header = nib.Nifti1Image.from_filename(tmp_path / "mask.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert Geometry(grid.shape, header.get_qform()).same_as(grid)


def test_a_sheared_mask_has_no_qform_so_that_no_reader_straightens_it(tmp_path, make_grid):
    nifti.write(make_labels(make_grid(shear=0.3)), tmp_path / "mask.nii.gz", None)
    header = nib.Nifti1Image.from_filename(tmp_path / "mask.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)


@pytest.mark.parametrize(("highest", "dtype"), [(255, np.uint8), (300, np.uint16)])
def test_a_mask_is_as_narrow_as_its_labels_allow(tmp_path, make_grid, highest, dtype):
    labels = make_labels(make_grid((9, 9, 9)), highest, np.uint32)
    nifti.write(labels, tmp_path / "mask.nii.gz")
    nifti.verify(tmp_path / "mask.nii.gz", labels)
    image = nib.Nifti1Image.from_filename(tmp_path / "mask.nii.gz")
    assert image.get_data_dtype() == dtype
    assert (image.dataobj.slope, image.dataobj.inter) == (1, 0)


def test_the_type_of_a_mask_does_not_depend_on_what_was_found(tmp_path, make_grid):
    labels = make_labels(make_grid(), 300, np.uint16)
    nifti.write(replace(labels, array=labels.array * 0), tmp_path / "mask.nii.gz")
    image = nib.Nifti1Image.from_filename(tmp_path / "mask.nii.gz")
    assert image.get_data_dtype() == np.uint16


def test_a_label_beyond_16_bits_is_refused(tmp_path, make_grid):
    array = np.full(make_grid().shape, 70_000, np.uint32)
    with pytest.raises(OutputFailed) as refusal:
        nifti.write(LabelMap(array, make_grid()), tmp_path / "mask.nii.gz")
    assert refusal.value.code == "labels-too-large"


def test_equal_masks_give_equal_bytes_without_name_or_time(tmp_path, make_grid):
    labels = make_labels(make_grid())
    nifti.write(labels, tmp_path / "a.nii.gz")
    nifti.write(labels, tmp_path / "b.nii.gz")
    packed = (tmp_path / "a.nii.gz").read_bytes()
    assert packed == (tmp_path / "b.nii.gz").read_bytes()
    assert packed[3:8] == bytes(5)  # gzip flags and time (RFC 1952)


def test_a_mask_says_millimetres_and_nothing_about_the_patient(tmp_path, make_grid):
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6)), make_grid((4, 5, 6)).affine), tmp_path / "a.nii")
    scan = from_nifti(tmp_path / "a.nii")
    scan.source.header["descrip"] = b"Doe^Jane"
    nifti.write(make_labels(scan.geometry), tmp_path / "mask.nii.gz", scan)
    assert b"Doe" not in gzip.decompress((tmp_path / "mask.nii.gz").read_bytes())
    header = nib.Nifti1Image.from_filename(tmp_path / "mask.nii.gz").header
    assert header.get_xyzt_units()[0] == "mm"


def test_probabilities_are_written_in_four_dimensions(tmp_path, make_grid):
    grid = make_grid()
    probabilities = np.random.default_rng(0).random((*grid.shape, 3)).astype(np.float32)
    result = Result(Volume(np.zeros(grid.shape, np.float32), grid), make_labels(grid))
    assert nifti.export_probabilities(
        replace(result, probabilities=probabilities), tmp_path / "p.nii.gz"
    ) == (True, ())
    image = nib.Nifti1Image.from_filename(tmp_path / "p.nii.gz")
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asarray(image.dataobj), probabilities)


def test_verification_sees_a_voxel_a_place_and_a_cut(tmp_path, make_grid):
    grid = make_grid()
    labels = make_labels(grid)
    path = tmp_path / "mask.nii.gz"
    nifti.write(labels, path)
    flipped = replace(labels, array=labels.array[::-1])
    moved = labels.moved(labels.array, Geometry(grid.shape, grid.affine + 0.01 * np.eye(4, k=3)))
    for wrong, words in ((flipped, "voxels differ"), (moved, "a corner moved by 0.0100 mm")):
        with pytest.raises(OutputFailed, match=words) as failure:
            nifti.verify(path, wrong)
        assert failure.value.code == "verify-failed"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(OutputFailed, match="cannot be read"):
        nifti.verify(path, labels)
