import nibabel
import numpy as np
import pytest

from medseg.errors import InputRefused
from medseg.geometry import Geometry
from medseg.labels import Label, LabelSet
from medseg.reading import read_labels
from medseg.volume import Volume
from tests.reading.factory import image, uid, write

AFFINE = np.array([[-1.5, 0, 0, 40], [0, -2, 0, 50], [0, 0, 3, -60], [0, 0, 0, 1]])
MASK = np.arange(60, dtype=np.uint8).reshape(3, 4, 5) % 3


def save(path, values=MASK, affine=AFFINE):
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def refused(*args, **kwargs) -> InputRefused:
    with pytest.raises(InputRefused) as refusal:
        read_labels(*args, **kwargs)
    return refusal.value


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_whole_numbers_of_any_type_are_kept_exactly(tmp_path, kind):
    found = read_labels(save(tmp_path / "m.nii.gz", MASK.astype(kind)))
    assert found.array.dtype == np.uint8
    np.testing.assert_array_equal(found.array, MASK)
    assert [label.name for label in found.labels] == ["Label 1", "Label 2"]


def test_values_above_255_take_two_bytes(tmp_path):
    found = read_labels(save(tmp_path / "m.nii", MASK.astype(np.int32) * 300))
    assert found.array.dtype == np.uint16
    assert found.labels.values == (0, 300, 600)


def test_fractions_are_no_labels(tmp_path):
    refusal = refused(save(tmp_path / "m.nii", MASK / np.float32(2)))
    assert refusal.code == "labels-not-whole"
    assert "20 of 60" in refusal.found
    assert refused(save(tmp_path / "n.nii", MASK * np.nan)).code == "labels-not-whole"


@pytest.mark.parametrize("values", [MASK.astype(np.int16) - 1, MASK.astype(np.int32) * 40000])
def test_values_outside_two_bytes_are_refused(tmp_path, values):
    refusal = refused(save(tmp_path / "m.nii", values))
    assert refusal.code == "labels-out-of-range"
    assert f"from {values.min()} to {values.max()}" in refusal.found


def test_a_value_without_a_name_is_refused(tmp_path):
    organs = LabelSet((Label(1, "Liver"),))
    refusal = refused(save(tmp_path / "m.nii"), organs)
    assert refusal.code == "labels-unknown"
    assert "The values 2 have no name" in refusal.found
    both = LabelSet((Label(1, "Liver"), Label(2, "Spleen"), Label(9, "Absent")))
    assert read_labels(tmp_path / "m.nii", both).labels == both


def test_labels_stored_in_another_axis_order_come_out_on_the_scan(tmp_path):
    turned = Geometry(MASK.shape, AFFINE)
    scan = Volume(np.zeros((5, 3, 4), np.float32), Geometry((5, 3, 4), AFFINE @ [
        [0, 1, 0, 0], [0, 0, 1, 0], [-1, 0, 0, 4], [0, 0, 0, 1]]))  # fmt: skip
    found = read_labels(save(tmp_path / "m.nii"), onto=scan)
    assert found.geometry is scan.geometry
    np.testing.assert_array_equal(found.array, MASK.transpose(2, 0, 1)[::-1])
    np.testing.assert_allclose(scan.geometry.positions([4, 0, 0]), turned.positions([0, 0, 0]))


def test_labels_off_the_grid_are_refused_with_the_distance(tmp_path):
    path = save(tmp_path / "m.nii")
    away = AFFINE.copy()
    away[2, 3] += 0.25
    scan = Volume(np.zeros(MASK.shape, np.float32), Geometry(MASK.shape, away))
    assert refused(path, onto=scan).code == "grids-differ"
    assert "0.250 mm apart" in refused(path, onto=scan).found
    small = Volume(np.zeros((3, 4, 4), np.float32), Geometry((3, 4, 4), AFFINE))
    assert "(3, 4, 5) and (3, 4, 4) voxels" in refused(path, onto=small).found


def test_a_folder_must_hold_one_label_file(tmp_path):
    assert refused(tmp_path).code == "labels-form-unknown"
    save(tmp_path / "m.nii")
    assert read_labels(tmp_path).array.shape == MASK.shape
    save(tmp_path / "n.nii")
    assert "2 label files" in refused(tmp_path).found


def test_a_dicom_segmentation_goes_to_its_own_reader(tmp_path, monkeypatch):
    from medseg.reading import segmentation

    ds = image()
    ds.SOPClassUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.66.4", "SEG"
    write(tmp_path, ds)
    monkeypatch.setattr(segmentation, "read_seg", lambda path, *more: (path.parent, *more))
    assert read_labels(tmp_path, onto="scan", only=2) == (tmp_path, "scan", 2)


def test_a_folder_with_label_files_of_several_kinds_is_refused_with_the_kinds(tmp_path):
    seg, contours = image(), image(1)
    seg.Modality, seg.SeriesInstanceUID = "SEG", uid("seg")
    contours.Modality, contours.SeriesInstanceUID = "RTSTRUCT", uid("contours")
    write(tmp_path, seg, contours)
    assert "2 label files here: 1 RTSTRUCT, 1 SEG" in refused(tmp_path).found
    save(tmp_path / "m.nii")
    assert "3 label files here: 1 RTSTRUCT, 1 SEG, 1 nifti" in refused(tmp_path).found


def test_a_damaged_label_file_says_so(tmp_path):
    (tmp_path / "contours.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x08\x00" * 9)
    assert refused(tmp_path).code == "file-damaged"


def test_labels_are_chosen_by_value_and_by_name(tmp_path):
    path = save(tmp_path / "m.nii")
    found = read_labels(path, only=[2])
    np.testing.assert_array_equal(found.array, np.where(MASK == 2, 2, 0))
    assert found.labels.values == (0, 2)
    np.testing.assert_array_equal(read_labels(path, only="LABEL 2").array, found.array)
    refusal = refused(path, only=["Label 3"])
    assert refusal.code == "labels-missing"
    assert "1 Label 1, 2 Label 2" in refusal.do


def test_a_region_brings_its_parts_along():
    parts = LabelSet((Label(1, "Core"), Label(2, "Edge"), Label(3, "Rest"),
                      Label(9, "Whole", region=(1, 2))))  # fmt: skip
    assert [label.value for label in parts.chosen("Whole")] == [1, 2, 9]
    assert [label.value for label in parts.chosen(["rest", 1])] == [1, 3]


def test_case_tells_labels_apart_that_differ_in_nothing_else():
    labels = LabelSet((Label(1, "GTV"), Label(2, "gtv"), Label(3, "ctv")))
    assert [label.value for label in labels.chosen("gtv")] == [2]
    assert [label.value for label in labels.chosen("Gtv")] == [1, 2]
