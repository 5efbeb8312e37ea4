"""Reading DICOM Segmentations. What medseg itself writes is read in tests/exporting."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from medseg.dicom.uids import new_uid
from medseg.errors import GeometryRefused, InputRefused
from medseg.geometry import Geometry, axes_towards
from medseg.reading.segmentation import read_seg
from medseg.volume import Volume

ODD = Path(__file__).parents[3] / "shared" / "data" / "dicom" / "odd"


def describe(number: int) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(
        number, f"Part {number}", dicom_codes.SCT.Organ, dicom_codes.SCT.Liver, "MANUAL"
    )


def write_seg(path: Path, volume: Volume, array: np.ndarray, kind: str = "BINARY", **more) -> Path:
    """Write ``(I, J, K)`` labels, or ``(I, J, K, segments)`` that may overlap, by highdicom."""
    frames = array.transpose(2, 1, 0, *range(3, array.ndim))
    segments = array.shape[3] if array.ndim == 4 else max(1, int(array.max()))
    hd.seg.Segmentation(
        [pydicom.dcmread(file, stop_before_pixels=True) for file, _ in volume.source.frames],
        frames, kind, [describe(n + 1) for n in range(segments)],
        new_uid(), 100, new_uid(), 1, "test", "test", "1", "1", **more,
    ).save_as(path)  # fmt: skip
    return path


@pytest.fixture
def volume(tmp_path, make_study, make_grid):
    return make_study(tmp_path / "scan", make_grid())


@pytest.fixture
def array(volume):
    array = np.zeros(volume.geometry.shape, np.uint8)
    array[1:4, 2:5, 1], array[2:5, 1:3, 3] = 1, 2  # slices 0, 2 and 4 are empty
    return array


def edited(path: Path, change) -> Path:
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


def test_slices_without_frames_are_empty(tmp_path, volume, array):
    path = write_seg(tmp_path / "seg.dcm", volume, array)
    assert pydicom.dcmread(path).NumberOfFrames == 2
    labels = read_seg(path, onto=volume)
    np.testing.assert_array_equal(labels.array, array)
    assert labels.geometry is volume.geometry


def test_without_a_scan_the_grid_is_that_of_the_frames(tmp_path, volume, array):
    # Slices 1 and 3 have frames: the step between them is twice that of the grid.
    labels = read_seg(write_seg(tmp_path / "seg.dcm", volume, array))
    assert labels.geometry.shape == (7, 6, 3)
    np.testing.assert_array_equal(labels.array, array[..., 1:4])
    moved = volume.geometry.positions(np.array([0, 0, 1]))
    np.testing.assert_allclose(labels.geometry.affine[:3, 3], moved, atol=1e-6)
    assert labels.geometry.spacing == pytest.approx(volume.geometry.spacing)


def test_a_step_that_the_file_does_not_state_is_the_smallest_gap(tmp_path, volume, array):
    array[0, 0, 2] = 1
    path = write_seg(tmp_path / "seg.dcm", volume, array)

    def forget(dataset):
        measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        del measures.SpacingBetweenSlices
        measures.SliceThickness = 99

    labels = read_seg(edited(path, forget))
    np.testing.assert_array_equal(labels.array, array[..., 1:4])


@pytest.mark.parametrize("code", ["RAS", "SAL", "PIR"])
def test_the_mask_follows_the_axes_of_the_scan(tmp_path, volume, array, code):
    # The same scan as NIfTI: other order and direction of axes, mirrored ones too.
    turned = axes_towards(volume.geometry, code)
    scan = volume.moved(turned.of_array(volume.array), turned.of_geometry(volume.geometry))
    labels = read_seg(write_seg(tmp_path / "seg.dcm", volume, array), onto=scan)
    np.testing.assert_array_equal(labels.array, turned.of_array(array))


def test_a_sheared_mask_keeps_its_shear_on_its_own_grid(tmp_path, make_study, make_grid):
    grid = make_grid(shear=0.3)
    volume = make_study(tmp_path / "scan", grid)
    array = np.random.default_rng(0).integers(0, 3, grid.shape, np.uint8)
    labels = read_seg(write_seg(tmp_path / "seg.dcm", volume, array))
    assert labels.geometry.same_as(grid)
    np.testing.assert_array_equal(labels.array, array)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_label_maps_are_read_packed_and_plain(tmp_path, volume, array, syntax):
    path = tmp_path / "seg.dcm"
    write_seg(path, volume, array, "LABELMAP", transfer_syntax_uid=syntax)
    labels = read_seg(path, onto=volume)
    np.testing.assert_array_equal(labels.array, array)
    assert [label.name for label in labels.labels] == ["Part 1", "Part 2"]


def test_overlapping_segments_are_refused_and_read_one_by_one(tmp_path, volume):
    masks = np.zeros((*volume.geometry.shape, 2), np.uint8)
    masks[1:4, 1:4, 2, 0], masks[3:6, 3:6, 2, 1] = 1, 1
    path = write_seg(tmp_path / "seg.dcm", volume, masks)
    with pytest.raises(InputRefused, match=r"only=\[") as refusal:
        read_seg(path, onto=volume)
    assert refusal.value.code == "seg-overlap"
    for n, only in ((1, [1]), (2, "part 2")):
        labels = read_seg(path, onto=volume, only=only)
        np.testing.assert_array_equal(labels.array, masks[..., n - 1] * n)
        assert [label.value for label in labels.labels] == [n]
    with pytest.raises(InputRefused, match=r"no label 3\. Choose among 1 Part 1, 2 Part 2"):
        read_seg(path, only=[3])


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_pixels_of_a_segment_without_description_are_refused(tmp_path, volume, array, kind):
    path = write_seg(tmp_path / "seg.dcm", volume, array, kind)
    with pytest.raises(InputRefused, match="segment 2, which") as refusal:
        read_seg(edited(path, lambda seg: seg.SegmentSequence.pop()))
    assert refusal.value.code == "seg-undescribed"


def test_probabilities_are_no_mask(tmp_path, volume, array):
    path = write_seg(tmp_path / "seg.dcm", volume, array, "FRACTIONAL")
    with pytest.raises(InputRefused) as refusal:
        read_seg(path)
    assert refusal.value.code == "seg-fractional"


def shifted(geometry: Geometry, voxels: tuple[float, float, float]) -> Geometry:
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.positions(np.array(voxels))
    return Geometry(geometry.shape, affine)


@pytest.mark.parametrize("voxels", [(0.5, 0, 0), (0, 0, 0.4), (-1, 0, 0), (0, 0, 2)])
def test_a_scan_elsewhere_is_refused_with_the_numbers(tmp_path, volume, array, voxels):
    path = write_seg(tmp_path / "seg.dcm", volume, array)
    scan = volume.moved(volume.array, shifted(volume.geometry, voxels))
    with pytest.raises(GeometryRefused, match=r"starts at voxel \(.*off by") as refusal:
        read_seg(path, onto=scan)
    assert refusal.value.code == "seg-grid"


def test_a_scan_of_another_spacing_or_angle_is_refused(tmp_path, volume, array, make_grid):
    path = write_seg(tmp_path / "seg.dcm", volume, array)
    for grid in (make_grid(spacing=(0.8, 0.9, 2.5)), make_grid(seed=4)):
        with pytest.raises(GeometryRefused, match="does not lie on the voxels"):
            read_seg(path, onto=volume.moved(volume.array, grid))


def test_a_scan_that_is_off_by_a_rounding_is_accepted(tmp_path, volume, array):
    path = write_seg(tmp_path / "seg.dcm", volume, array)
    scan = volume.moved(volume.array, shifted(volume.geometry, (0.05, 0.05, 0.1)))
    np.testing.assert_array_equal(read_seg(path, onto=scan).array, array)


def test_uneven_slices_need_the_scan(tmp_path, volume, array):
    path = write_seg(tmp_path / "seg.dcm", volume, np.ones_like(array))

    def slide(dataset):
        groups = dataset.PerFrameFunctionalGroupsSequence
        before, place = (groups[n].PlanePositionSequence[0] for n in (1, 2))
        place.ImagePositionPatient = [
            f"{b + 0.45 * (b - a):.6f}"
            for a, b in zip(before.ImagePositionPatient, place.ImagePositionPatient, strict=True)
        ]

    with pytest.raises(GeometryRefused, match="uneven: gaps of") as refusal:
        read_seg(edited(path, slide))
    assert refusal.value.code == "seg-grid"


def test_other_files_are_refused(tmp_path, volume):
    (tmp_path / "text.dcm").write_text("no DICOM")
    for path, code in (
        (tmp_path / "text.dcm", "seg-unreadable"),
        (tmp_path / "missing.dcm", "seg-unreadable"),
        (volume.source.files[0], "seg-foreign"),
    ):
        with pytest.raises(InputRefused) as refusal:
            read_seg(path)
        assert refusal.value.code == code


@pytest.mark.parametrize(
    "damage",
    [
        lambda seg: delattr(seg, "SegmentSequence"),
        lambda seg: delattr(seg, "PerFrameFunctionalGroupsSequence"),
        lambda seg: setattr(seg, "NumberOfFrames", 3),
        lambda seg: setattr(seg, "PixelData", seg.PixelData[:4]),
        lambda seg: delattr(seg, "PixelData"),
        lambda seg: (setattr(seg, "Rows", 60000), setattr(seg, "Columns", 60000)),
    ],
)
def test_damaged_files_are_refused(tmp_path, volume, array, damage):
    path = edited(write_seg(tmp_path / "seg.dcm", volume, array), damage)
    with pytest.raises(InputRefused) as refusal:
        read_seg(path, onto=volume)
    assert refusal.value.code == "seg-unreadable"
    with pytest.raises(InputRefused) as refusal:
        read_seg(path)  # whose grid would be that of the claims
    assert refusal.value.code == "seg-unreadable"


def test_segments_of_one_name_stay_two(tmp_path, volume, array):
    path = write_seg(tmp_path / "seg.dcm", volume, array)
    labels = read_seg(
        edited(path, lambda seg: setattr(seg.SegmentSequence[1], "SegmentLabel", "Part 1"))
    )
    assert [label.name for label in labels.labels] == ["Part 1", "Part 1 (2)"]


@pytest.mark.peer
@pytest.mark.skipif(not ODD.is_dir(), reason="the odd DICOM files are not at hand")
@pytest.mark.parametrize(
    ("file", "voxels"),
    [
        ("legacy_converted_ct/label.seg", 315),
        ("legacy_converted_ct/sparse-labelmap-noppv.dcm", 630),
        ("seg_ct_liver/liver.dcm", 107098),  # the README beside the data
    ],
)
def test_segmentations_of_other_programs_are_read(file, voxels):
    labels = read_seg(ODD / file)
    assert np.count_nonzero(labels.array) == voxels
    assert labels.geometry.orientation == "LPS"
    assert [label.name for label in labels.labels] == ["Liver"]
