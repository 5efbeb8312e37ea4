"""Further traps: each is read right, in value and place, or refused with a word of its cause.

A trap writes its files and returns what a reader must find: values ``(I, J, K)`` and affine, or
words of which one must stand in the refusal. They are of the kind of the fifteen trap series; what
another test of this folder covers is not repeated.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    LegacyConvertedEnhancedCTImageStorage,
    MRImageStorage,
    NuclearMedicineImageStorage,
    PositronEmissionTomographyImageStorage,
    RLELossless,
)

from medseg.errors import InputRefused
from medseg.geometry import Geometry
from medseg.reading import read, scan
from tests.reading.factory import enhanced, image, series, stored, uid, with_pixels, write

Truth = tuple[np.ndarray, np.ndarray]
Trap = Callable[[Path], Truth | set[str]]
TRAPS: list[Trap] = []
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])  # LPS to RAS
AXIAL = [[-1, 0, 0, 10], [0, -2, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]]


def trap(build: Trap) -> Trap:
    TRAPS.append(build)
    return build


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # a trap has a name in one
@pytest.mark.parametrize("build", TRAPS, ids=lambda build: build.__name__)
def test_it_is_read_right_or_refused_with_its_cause(tmp_path, build):
    expected = build(tmp_path)
    if isinstance(expected, set):
        with pytest.raises(InputRefused) as refusal:
            read(tmp_path)
        assert any(cause in str(refusal.value).lower() for cause in expected), refusal.value
        return
    values, affine = expected
    volume = read(tmp_path)
    assert volume.geometry.same_as(Geometry(values.shape, affine)), volume.geometry
    np.testing.assert_allclose(volume.array, values, rtol=1e-6)


def hu(slices: int = 6, columns: int = 4, rows: int = 5) -> np.ndarray:
    return np.stack([stored(k, rows, columns).T for k in range(slices)], -1) - 1024.0


def plain(slices: int = 6) -> Truth:
    return hu(slices), np.array(AXIAL)


def put(**values: object) -> Callable[[Dataset, int], None]:
    return lambda ds, k: [setattr(ds, name, value) for name, value in values.items()]


def at(position) -> Callable[[Dataset, int], None]:
    return lambda ds, k: setattr(ds, "ImagePositionPatient", list(map(float, position(k))))


def as_mr(ds: Dataset, k: int = 0) -> None:
    ds.SOPClassUID, ds.Modality = MRImageStorage, "MR"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]


# ------------------------------------------------------------------ where slices lie


@trap
def coronal_slices(folder):
    series(folder, put(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), at(lambda k: (1, 3 * k, 9)))
    return hu(), FLIP @ [[1, 0, 0, 1], [0, 0, 3, 0], [0, -2, 0, 9], [0, 0, 0, 1]]


@trap
def sagittal_slices_from_left_to_right(folder):
    # row x column points to -x here, so the last slice in x is the first along the normal
    series(folder, put(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), at(lambda k: (3 * k, 2, 9)))
    return hu()[..., ::-1], FLIP @ [[0, 0, -3, 15], [1, 0, 0, 2], [0, -2, 0, 9], [0, 0, 0, 1]]


@trap
def feet_first_prone(folder):
    series(folder, put(PatientPosition="FFP", ImageOrientationPatient=[-1, 0, 0, 0, -1, 0]))
    return hu(), FLIP @ [[-1, 0, 0, -10], [0, -2, 0, -20], [0, 0, 3, 30], [0, 0, 0, 1]]


@trap
def a_mirrored_image_is_left_handed(folder):
    series(folder, put(ImageOrientationPatient=[-1, 0, 0, 0, 1, 0]))
    return hu()[..., ::-1], FLIP @ [[-1, 0, 0, -10], [0, 2, 0, -20], [0, 0, -3, 45], [0, 0, 0, 1]]


@trap
def a_tilt_that_the_positions_do_not_have(folder):
    series(folder, put(GantryDetectorTilt=15))
    return plain()


@trap
def a_spacing_between_slices_that_is_wrong_or_negative(folder):
    series(folder, put(SpacingBetweenSlices=-7, SliceThickness=9, SliceLocation=0))
    return plain()


@trap
def orientations_with_noise_of_a_ten_thousandth(folder):
    noise = np.random.default_rng(0).uniform(-1e-4, 1e-4, (6, 6))
    noise += [1, 0, 0, 0, 1, 0]
    series(folder, lambda ds, k: put(ImageOrientationPatient=[f"{v:.6f}" for v in noise[k]])(ds, k))
    return plain()


def _turned(degrees: float) -> list[float]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return [c, s, 0, -s, c, 0]


@trap
def the_last_of_twenty_slices_turned_by_a_degree(folder):
    series(folder, lambda ds, k: put(ImageOrientationPatient=_turned(k == 19))(ds, k), slices=20)
    return {"orientation"}


@trap
def orientations_that_turn_from_slice_to_slice(folder):
    series(folder, lambda ds, k: put(ImageOrientationPatient=_turned(0.05 * k))(ds, k))
    return {"orientation"}


@trap
def orientation_vectors_of_half_length(folder):
    series(folder, put(ImageOrientationPatient=[0.5, 0, 0, 0, 0.5, 0]))
    return {"orientation"}


@trap
def orientation_with_both_directions_alike(folder):
    series(folder, put(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]))
    return {"orientation"}


@trap
def three_sagittal_images_without_a_word_of_localizer(folder):
    series(folder, slices=20)
    for n in range(3):
        ds = image(50 + n, position=(5.0 * n, 0, 0))
        ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        write(folder, ds)
    return plain(20)


@trap
def rows_and_columns_swapped_in_the_last_slice(folder):
    series(folder, lambda ds, k: k == 5 and with_pixels(ds, stored(k).T.copy()), slices=6)
    write(folder, with_pixels(image(6), stored(6).T.copy()))
    return {"image size"}


@trap
def steps_of_5_and_10_mm_with_thickness_to_match(folder):
    depth = [0, 5, 10, 15, 25, 35]
    series(folder, at(lambda k: (0, 0, depth[k])), lambda ds, k: put(
        SliceThickness=5 if k < 4 else 10)(ds, k))  # fmt: skip
    return {"non-uniform"}


@trap
def one_thick_slice_at_an_end(folder):
    series(folder, at(lambda k: (0, 0, 3 * k + (1.5 if k == 5 else 0))))
    return {"non-uniform"}


@trap
def every_second_slice_in_another_frame_of_reference(folder):
    series(folder, lambda ds, k: put(FrameOfReferenceUID=uid(k % 2))(ds, k), slices=20)
    return {"frame of reference differs: 10 + 10"}


@trap
def ten_and_ten_in_two_frames_of_reference(folder):
    series(folder, lambda ds, k: put(FrameOfReferenceUID=uid(k // 10))(ds, k), slices=20)
    return {"frame of reference differs: 10 + 10"}


@trap
def one_of_twenty_lacks_its_frame_of_reference(folder):
    series(folder, lambda ds, k: k == 19 and delattr(ds, "FrameOfReferenceUID"), slices=20)
    return {"frame of reference"}


@trap
def pixel_spacing_of_the_last_of_twenty_is_other(folder):
    series(folder, lambda ds, k: k == 19 and put(PixelSpacing=[2, 1.1])(ds, k), slices=20)
    return {"pixel spacing differs in 1 of 20"}


@trap
def pixel_spacing_exchanged_in_one_slice(folder):
    series(folder, lambda ds, k: k == 0 and put(PixelSpacing=[1, 2])(ds, k))
    return {"pixel spacing differs"}


@trap
def only_the_spacing_of_the_detector(folder):
    series(folder, put(ImagerPixelSpacing=[2, 1]), lambda ds, k: delattr(ds, "PixelSpacing"))
    return {"no pixel spacing"}


@trap
def every_slice_at_one_place(folder):
    series(folder, at(lambda k: (0, 0, 0)))
    return {"duplicate position"}


@trap
def a_copy_under_another_instance_uid(folder):
    series(folder)
    copy = image(3)
    copy.SOPInstanceUID = uid("copy")
    write(folder, copy)
    return {"duplicate position"}


@trap
def one_slice_alone_takes_its_thickness(folder):
    write(folder, image(2))
    affine = np.array(AXIAL, float)
    affine[2, 2], affine[2, 3] = 5, 36
    return hu()[..., 2:3], affine


@trap
def one_slice_alone_of_thickness_zero(folder):
    series(folder, put(SliceThickness=0), slices=1)
    return {"thickness"}


@trap
def two_acquisitions_that_abut(folder):
    series(folder, lambda ds, k: put(AcquisitionNumber=1 + k // 3)(ds, k))
    return plain()


@trap
def two_acquisitions_that_overlap_by_two_slices(folder):
    series(folder, at(lambda k: (0, 0, 3 * (k if k < 3 else k - 2))),
           lambda ds, k: put(AcquisitionNumber=1 + k // 3)(ds, k))  # fmt: skip
    return {"duplicate position"}


# ------------------------------------------------------- several volumes in one series


def _two(folder, change: Callable[[Dataset, int, bool], None], *cause: str) -> set[str]:
    """Write twelve images, two at each of six positions, which one attribute tells apart."""
    series(folder, at(lambda k: (0, 0, 3 * (k // 2))), lambda ds, k: change(ds, k, k % 2 == 1),
           slices=12)  # fmt: skip
    assert [one.images for one in scan(folder)] == [6, 6]
    for n in (0, 1):
        volume = read(folder, volume=n)
        assert set(np.diff(volume.array[0, 0])) == {200}  # none of the other volume
    return {"more than one volume"} if not cause else set(cause)


@trap
def two_kernels(folder):
    return _two(folder, lambda ds, k, odd: put(ConvolutionKernel="B70f" if odd else "B30f")(ds, k),
                "kernel")  # fmt: skip


@trap
def two_phases_by_acquisition_number(folder):
    return _two(folder, lambda ds, k, odd: put(AcquisitionNumber=1 + odd)(ds, k),
                "acquisition number 1")  # fmt: skip


@trap
def two_phases_by_acquisition_time(folder):
    return _two(folder, lambda ds, k, odd: put(AcquisitionTime=f"10000{odd:d}")(ds, k),
                "acquisition time")  # fmt: skip


@trap
def two_phases_by_trigger_time(folder):
    return _two(folder, lambda ds, k, odd: put(TriggerTime=400.0 * odd)(ds, k), "trigger time 0")


@trap
def before_and_after_contrast(folder):
    def change(ds, k, odd):
        if odd:
            ds.ContrastBolusAgent = "SECRET agent"

    return _two(folder, change, "contrast")


@trap
def water_and_fat(folder):
    def change(ds, k, odd):
        as_mr(ds)
        ds.ImageType = ["DERIVED", "PRIMARY", "DIXON", "WATER" if odd else "FAT"]

    return _two(folder, change, "image type")


@trap
def a_diffusion_coefficient_among_its_images(folder):
    def change(ds, k, odd):
        as_mr(ds)
        ds.ImageType = ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"] if odd else ds.ImageType
        ds.DiffusionBValue = 0.0 if odd else 800.0

    return _two(folder, change, "image type")


@trap
def two_echoes_by_number_alone(folder):
    def change(ds, k, odd):
        as_mr(ds)
        ds.EchoNumbers = 1 + odd

    return _two(folder, change, "echo")


@trap
def the_units_of_a_pet_change_half_way(folder):
    series(folder, put(SOPClassUID=PositronEmissionTomographyImageStorage, Modality="PT"),
           lambda ds, k: put(Units="BQML" if k < 3 else "GML")(ds, k))  # fmt: skip
    return {"units differs: 3 + 3"}


@trap
def one_of_two_time_points_lacks_a_slice(folder):
    series(folder, at(lambda k: (0, 0, 3 * (k // 2))),
           lambda ds, k: put(TemporalPositionIdentifier=1 + k % 2)(ds, k), slices=11)  # fmt: skip
    return {"duplicate", "missing", "temporal"}


@trap
def phases_that_nothing_tells_apart(folder):
    series(folder, at(lambda k: (0, 0, 3 * (k // 2))), slices=12)
    return {"duplicate position: 12 slices lie at 6"}


@trap
def soft_slices_between_sharp_ones(folder):
    series(folder, lambda ds, k: put(ConvolutionKernel="B70f" if k % 2 else "B30f")(ds, k))
    return {"kernel differs: 3 + 3"}


# ----------------------------------------------------------------------- values


@trap
def a_negative_rescale_slope(folder):
    series(folder, put(RescaleSlope=-2, RescaleIntercept=10))
    return (hu() + 1024) * -2 + 10, np.array(AXIAL)


@trap
def one_slice_lacks_its_intercept(folder):
    series(folder, lambda ds, k: k == 2 and delattr(ds, "RescaleIntercept"))
    return {"rescale"}


@trap
def half_of_the_slices_lack_their_slope(folder):
    series(folder, lambda ds, k: k > 2 and delattr(ds, "RescaleSlope"))
    return {"rescale"}


@trap
def values_above_32767(folder):
    series(folder, lambda ds, k: with_pixels(ds, stored(k) + np.uint16(64900)))
    return hu() + 64900, np.array(AXIAL)


@trap
def signed_slices_among_unsigned_ones(folder):
    series(folder, lambda ds, k: k % 2 and with_pixels(ds, stored(k).astype(np.int16)))
    return plain()


@trap
def pixels_of_32_bits(folder):
    def change(ds, k):
        ds.PixelData = (stored(k).astype(np.uint32) + 100_000).tobytes()
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 32, 32, 31

    series(folder, change)
    return hu() + 100_000, np.array(AXIAL)


@trap
def bits_stored_high_in_run_lengths(folder):
    def change(ds, k):
        with_pixels(ds, stored(k) << 4)
        ds.BitsStored, ds.HighBit = 12, 15
        ds.compress(RLELossless)

    series(folder, change)
    return plain()


@trap
def an_overlay_in_the_high_bits_of_run_lengths(folder):
    def change(ds, k):
        with_pixels(ds, (stored(k) | 0x5000))
        ds.BitsStored, ds.HighBit = 12, 11
        ds.compress(RLELossless)

    series(folder, change)
    return plain()


@trap
def signed_12_bits_in_run_lengths(folder):
    def change(ds, k):
        with_pixels(ds, stored(k).astype(np.int16) - 300)
        ds.PixelData = ((stored(k).astype(np.int32) - 300) & 0x0FFF).astype(np.uint16).tobytes()
        ds.BitsStored, ds.HighBit = 12, 11
        ds.compress(RLELossless)

    series(folder, change)
    return hu() - 300, np.array(AXIAL)


@trap
def more_bits_stored_than_there_are(folder):
    series(folder, put(BitsStored=60001, HighBit=60000))
    return {"bits"}


@trap
def a_high_bit_below_the_stored_ones(folder):
    series(folder, put(BitsStored=12, HighBit=3))
    return {"bits"}


@trap
def a_pet_in_monochrome1(folder):
    series(folder, put(SOPClassUID=PositronEmissionTomographyImageStorage, Modality="PT",
                       Units="BQML", PhotometricInterpretation="MONOCHROME1"))  # fmt: skip
    return plain()


@trap
def a_padding_value_below_a_range(folder):
    def change(ds, k):
        ds.add_new("PixelPaddingValue", "US", 2)
        ds.add_new("PixelPaddingRangeLimit", "US", 0)

    series(folder, change)
    values = hu()
    values[:3, 0, 0] = -1024  # 0, 1, 2 are padding, which in a CT is air
    return values, np.array(AXIAL)


# ------------------------------------------------------------------- multi-frame


def _frames(order, **more) -> Dataset:
    ds = enhanced([(0.0, 0.0, 3.0 * k) for k in order], np.stack([stored(k) for k in order]))
    for frame in ds.PerFrameFunctionalGroupsSequence:
        frame.PixelValueTransformationSequence[0].RescaleSlope = 1
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


def _grouped(ds: Dataset, name: str, values: list[dict]) -> Dataset:
    for frame, attributes in zip(ds.PerFrameFunctionalGroupsSequence, values, strict=True):
        item = Dataset()
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        setattr(frame, name, Items([item]))
    return ds


def _origin(affine, slices: int) -> Truth:
    moved = np.array(affine, float)
    moved[:3, 3] = 0
    return hu(slices), moved


@trap
def a_legacy_converted_object(folder):
    write(folder, _frames([3, 1, 0, 2], SOPClassUID=LegacyConvertedEnhancedCTImageStorage))
    return _origin(AXIAL, 4)


@trap
def geometry_at_the_top_that_contradicts_the_groups(folder):
    write(folder, _frames([1, 0, 2], ImagePositionPatient=[9, 9, 9], PixelSpacing=[7, 7],
                          ImageOrientationPatient=[0, 1, 0, 0, 0, 1], RescaleSlope=5))  # fmt: skip
    return _origin(AXIAL, 3)


@trap
def a_volume_in_two_files_of_frames(folder):
    first, second = _frames([0, 2, 4]), _frames([5, 3, 1])
    second.SOPInstanceUID = uid("second")
    write(folder, first, second)
    return _origin(AXIAL, 6)


@trap
def two_time_points_as_two_files_of_frames(folder):
    first, second = _frames([0, 1, 2]), _frames([2, 1, 0])
    second.SOPInstanceUID = uid("second")
    write(folder, first, second)
    assert [one.images for one in scan(folder)] == [3, 3]
    return {"more than one volume"}


@trap
def two_stacks_of_one_place_in_one_object(folder):
    ds = _grouped(_frames([0, 0, 1, 1, 2, 2]), "FrameContentSequence",
                  [{"StackID": str(1 + n % 2)} for n in range(6)])  # fmt: skip
    write(folder, ds)
    assert [one.images for one in scan(folder)] == [3, 3]
    return {"stack differs"}


@trap
def two_orientations_in_one_object(folder):
    ds = _grouped(_frames([0, 1, 2, 3]), "PlaneOrientationSequence",
                  [{"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}] * 2
                  + [{"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}] * 2)  # fmt: skip
    write(folder, ds)
    return {"orientation differs: 2 + 2"}


@trap
def two_echoes_in_one_object(folder):
    ds = _grouped(_frames([0, 0, 1, 1, 2, 2], SOPClassUID=EnhancedMRImageStorage), "MREchoSequence",
                  [{"EffectiveEchoTime": (10.0, 80.0)[n % 2]} for n in range(6)])  # fmt: skip
    write(folder, ds)
    return {"echo time 10, echo time 80"}


@trap
def time_points_in_one_object(folder):
    ds = _grouped(_frames([0, 1, 2, 0, 1, 2], SOPClassUID=EnhancedMRImageStorage),
                  "FrameContentSequence",
                  [{"TemporalPositionIndex": 1 + n // 3} for n in range(6)])  # fmt: skip
    write(folder, ds)
    return {"temporal position 1, temporal position 2"}


@trap
def an_object_of_fewer_groups_than_frames(folder):
    ds = _frames([0, 1, 2, 3])
    del ds.PerFrameFunctionalGroupsSequence[-1]
    write(folder, ds)
    return {"no position"}


@trap
def a_frame_missing_from_an_object(folder):
    write(folder, _frames([0, 1, 2, 4, 5]))
    return {"missing"}


@trap
def frames_of_nuclear_medicine_without_positions(folder):
    ds = with_pixels(image(), np.stack([stored(k) for k in range(4)]))
    ds.SOPClassUID, ds.Modality, ds.NumberOfFrames = NuclearMedicineImageStorage, "NM", 4
    write(folder, ds)
    return {"no position"}


@trap
def plain_images_that_count_their_one_frame(folder):
    series(folder, put(NumberOfFrames=1))
    return plain()


@trap
def frames_by_the_billion(folder):
    write(folder, _frames([0, 1, 2], NumberOfFrames=2**31 - 1))
    return {"frames", "truncated"}


# --------------------------------------------------------------------- encodings


@trap
def every_slice_in_another_encoding(folder):
    def change(ds, k):
        if k in (1, 2, 3):
            ds.file_meta.TransferSyntaxUID = (
                ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian
            )[k - 1]  # fmt: skip
        if k == 2:
            ds.PixelData = stored(k).byteswap().tobytes()
        if k == 4:
            ds.compress(RLELossless)

    series(folder, change)
    return plain()


@trap
def nothing_but_data_elements(folder):
    series(folder, lambda ds, k: setattr(ds.file_meta, "TransferSyntaxUID", ImplicitVRLittleEndian))
    for file in folder.iterdir():
        ds = pydicom.dcmread(file)
        del ds.file_meta
        stream = BytesIO()
        pydicom.dcmwrite(stream, ds, implicit_vr=True, little_endian=True)
        file.write_bytes(stream.getvalue())
    return plain()


@trap
def explicit_elements_under_an_implicit_syntax(folder):
    series(folder)
    for file in folder.iterdir():
        content = file.read_bytes()
        file.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0"))
    return plain()


@trap
def a_deflated_object_that_is_cut_off(folder):
    noise = np.random.default_rng(0).integers(0, 4000, (50, 40), np.uint16)

    def change(ds, k):
        with_pixels(ds, noise)
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    series(folder, change)
    file = min(folder.iterdir())
    file.write_bytes(file.read_bytes()[:-900])
    return {"truncated", "damaged"}


@trap
def eight_bits_of_an_odd_count(folder):
    def change(ds, k):
        ds.Rows, ds.Columns = 5, 3
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.PixelData = (stored(k, 5, 3) % 256).astype(np.uint8).tobytes() + b"\0"

    series(folder, change)
    return (hu(columns=3) + 1024) % 256 - 1024, np.array(AXIAL)


@trap
def an_odd_count_that_was_not_padded(folder):
    eight_bits_of_an_odd_count(folder)
    for file in folder.iterdir():
        content = file.read_bytes()
        at = content.rfind(b"\xe0\x7f\x10\x00") + 8
        file.write_bytes(content[:at] + (15).to_bytes(4, "little") + content[at + 4 : -1])
    return (hu(columns=3) + 1024) % 256 - 1024, np.array(AXIAL)


@trap
def bytes_after_the_last_pixel(folder):
    series(folder, lambda ds, k: put(PixelData=ds.PixelData + bytes(90))(ds, k))
    return plain()


@trap
def junk_after_the_last_element(folder):
    for file in series(folder).iterdir():
        file.write_bytes(file.read_bytes() + b"\x28\x00\x10\x00US\x02\x00\x63\x00" + b"\xff" * 99)
    return plain()


@trap
def plain_pixels_of_undefined_length(folder):
    for file in series(folder).iterdir():
        content = file.read_bytes()
        at = content.rfind(b"\xe0\x7f\x10\x00") + 8
        file.write_bytes(content[:at] + b"\xff" * 4 + content[at + 4 :])
    return {"undefined length", "pixel data"}


@trap
def a_length_of_pixels_that_is_too_small(folder):
    for file in series(folder).iterdir():
        content = file.read_bytes()
        at = content.rfind(b"\xe0\x7f\x10\x00") + 8
        file.write_bytes(content[:at] + (20).to_bytes(4, "little") + content[at + 4 :])
    return {"truncated file: 20 of 40"}


@trap
def run_lengths_in_many_fragments(folder):
    def change(ds, k):
        ds.compress(RLELossless)
        (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
        ds.PixelData = encapsulate([frame], fragments_per_frame=3)

    series(folder, change)
    return plain()


@trap
def jpeg_of_eight_bits(folder):
    def change(ds, k):
        flat, stream = np.full((16, 16), 40 + 20 * k, np.uint8), BytesIO()
        Image.fromarray(flat).save(stream, "jpeg", quality=100)
        ds.Rows = ds.Columns = 16
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.PixelData = encapsulate([stream.getvalue()])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit

    volume = read(series(folder, change))
    assert [one.code for one in volume.findings] == ["lossy"]  # although no header says so
    return np.zeros((16, 16, 6)) + 40 + 20 * np.arange(6) - 1024, np.array(AXIAL)


@trap
def a_header_of_another_size_than_its_jpeg(folder):
    jpeg_of_eight_bits(folder)
    for file in folder.iterdir():
        ds = pydicom.dcmread(file)
        ds.Rows = ds.Columns = 60000
        ds.save_as(file)
    return {"60000 x 60000 pixels, the compressed data hold 16 x 16"}


@trap
def run_lengths_that_cannot_be_so_many_pixels(folder):
    series(folder, lambda ds, k: (ds.compress(RLELossless), put(Rows=60000, Columns=60000)(ds, k)))
    return {"60000 x 60000 pixels"}


@trap
def dicom_that_is_called_nii(folder):
    for n, file in enumerate(list(series(folder).iterdir())):
        file.rename(folder / f"{n}.nii")
    return plain()


@trap
def private_text_as_series_uid(folder):
    series(folder, put(SeriesInstanceUID="Secret^Name", StudyInstanceUID="Secret"))
    return plain()


# ------------------------------------------------------------------------- NIfTI

VALUES = np.arange(60).reshape(3, 4, 5)
NOISE = np.random.default_rng(0).integers(0, 9999, (20, 20, 20)).astype(np.int16)
AFFINE = np.array([[-1.5, 0, 0, 40], [0, -2, 0, 50], [0, 0, 3, -60], [0, 0, 0, 1.0]])


def _nifti(folder, values=None, affine=AFFINE, name="a.nii", make=None, **more):
    values = VALUES.astype(np.int16) if values is None else values
    kind = make or nibabel.Nifti1Image
    nifti = kind(values, affine, dtype=values.dtype) if make is None else kind(values, affine)
    nifti.set_qform(affine, more.get("qform", 1))
    nifti.set_sform(affine, more.get("sform", 1))
    nibabel.save(nifti, folder / name)
    return folder / name


def _with_bytes(path: Path, offset: int, content: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[offset : offset + len(content)] = content
    path.write_bytes(data)
    return path


@trap
def nifti_with_a_shear(folder):
    sheared = AFFINE.copy()
    sheared[1, 2] = 0.8
    _nifti(folder, affine=sheared)
    return VALUES, sheared


@trap
def nifti_of_64_bits(folder):
    _nifti(folder, VALUES.astype(np.int64) - 7)
    return VALUES - 7, AFFINE


@trap
def nifti_of_unsigned_64_bits(folder):
    _nifti(folder, VALUES.astype(np.uint64))
    return VALUES, AFFINE


@trap
def nifti_big_endian(folder):
    header = nibabel.Nifti1Header(endianness=">")
    nifti = nibabel.Nifti1Image(VALUES.astype(">i2"), AFFINE, header)
    nifti.set_sform(AFFINE, 1)
    nibabel.save(nifti, folder / "a.nii")
    assert (folder / "a.nii").read_bytes()[:4] == (348).to_bytes(4, "big")
    return VALUES, AFFINE


@trap
def nifti_second_version(folder):
    _nifti(folder, make=nibabel.Nifti2Image)
    return VALUES, AFFINE


@trap
def nifti_with_a_qform_alone_and_a_left_handed_one(folder):
    mirrored = AFFINE @ np.diag([-1.0, 1, 1, 1])
    _nifti(folder, affine=mirrored, sform=0)
    return VALUES, mirrored


@trap
def nifti_with_three_axes_of_one_after_the_third(folder):
    _nifti(folder, VALUES[..., None, None, None].astype(np.int16))
    return VALUES, AFFINE


@trap
def nifti_with_junk_after_its_compressed_end(folder):
    path = _nifti(folder, NOISE, name="a.nii.gz")
    path.write_bytes(path.read_bytes() + b"left over")
    return NOISE, AFFINE


@trap
def nifti_with_zeros_after_its_compressed_end(folder):
    path = _nifti(folder, name="a.nii.gz")
    path.write_bytes(path.read_bytes() + bytes(512))
    return VALUES, AFFINE


@trap
def nifti_flipped_within_its_compressed_voxels(folder):
    path = _nifti(folder, NOISE, name="a.nii.gz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    return {"check sum"}


@trap
def nifti_called_gz_that_is_not_packed(folder):
    path = _nifti(folder)
    path.rename(folder / "a.nii.gz")
    return {"compress"}


@trap
def nifti_packed_but_not_called_so(folder):
    path = _nifti(folder)
    path.write_bytes(gzip.compress(path.read_bytes()))
    return {"compress"}


@trap
def nifti_of_more_voxels_than_bytes(folder):
    _with_bytes(_nifti(folder), 40, np.array([3, 32767, 32767, 32767], "<i2").tobytes())
    return {"truncated"}


@trap
def nifti_packed_of_more_voxels_than_bytes(folder):
    path = _with_bytes(_nifti(folder), 40, np.array([3, 32767, 32767, 32767], "<i2").tobytes())
    (folder / "b.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return {"truncated"}


@trap
def nifti_with_an_axis_of_zero(folder):
    _with_bytes(_nifti(folder), 40, np.array([3, 3, 0, 5], "<i2").tobytes())
    return {"voxels", "cannot be read"}


@trap
def nifti_with_a_negative_axis(folder):
    _with_bytes(_nifti(folder), 40, np.array([3, 3, -4, 5], "<i2").tobytes())
    return {"voxels", "cannot be read"}


@trap
def nifti_with_an_sform_of_zeros(folder):
    _with_bytes(_nifti(folder), 280, bytes(48))
    return {"affine"}


@trap
def nifti_with_an_offset_of_nan(folder):
    _with_bytes(_nifti(folder), 292, np.float32(np.nan).tobytes())
    return {"affine"}


@trap
def nifti_with_a_slope_that_overflows(folder):
    path = _nifti(folder, VALUES.astype(np.int16) + 1)
    _with_bytes(path, 112, np.float32(3e38).tobytes())
    _with_bytes(path, 116, np.float32(3e38).tobytes())
    return {"infinite"}


@trap
def nifti_that_begins_its_voxels_in_its_header(folder):
    _with_bytes(_nifti(folder), 108, np.float32(100).tobytes())
    return {"cannot be read", "damaged"}


@trap
def nifti_in_microns(folder):
    small = AFFINE * [[0.3], [0.3], [0.3], [1]]  # half a micron is a voxel of microscopy
    path = _nifti(folder, affine=small)
    _with_bytes(path, 123, b"\x03")
    return VALUES, np.diag([1e-3, 1e-3, 1e-3, 1]) @ small


def test_names_of_traps_are_their_own():
    names = [build.__name__ for build in TRAPS]
    assert len(set(names)) == len(names) > 90
