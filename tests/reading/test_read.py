import numpy as np
import pytest
from pydicom.uid import MRImageStorage, RTStructureSetStorage, SecondaryCaptureImageStorage

from medseg.errors import InputRefused
from medseg.reading import read, scan
from tests.reading.factory import (
    COLUMNS,
    ROWS,
    SLICES,
    enhanced,
    image,
    series,
    stored,
    uid,
    with_pixels,
    write,
)


def refused(path, rule=None, volume=None) -> InputRefused:
    with pytest.raises(InputRefused) as refusal:
        read(path, rule, volume=volume)
    return refusal.value


def codes(volume) -> list[str]:
    return [finding.code for finding in volume.findings]


def test_a_series_is_an_array_of_column_row_slice_in_hu(tmp_path):
    volume = read(series(tmp_path))
    assert volume.array.shape == (COLUMNS, ROWS, SLICES)
    assert volume.array.dtype == np.float32
    assert volume.array[3, 2, 5] == 100 * 5 + 10 * 2 + 3 - 1024
    expected = [[-1, 0, 0, 10], [0, -2, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.geometry.affine, expected)
    assert (volume.modality, volume.source.form, volume.findings) == ("CT", "dicom", ())


def test_the_source_names_file_and_frame_of_each_slice(tmp_path):
    import pydicom

    source = read(series(tmp_path)).source
    numbers = [pydicom.dcmread(path).InstanceNumber for path, frame in source.frames]
    assert numbers == [1, 2, 3, 4, 5, 6]
    assert {frame for _, frame in source.frames} == {0}
    assert source.files == tuple(path for path, _ in source.frames)


def test_frames_of_an_enhanced_object_are_sorted_and_rescaled_each(tmp_path):
    order = [2, 0, 3, 1]
    positions = [(0, 0, 3.0 * k) for k in order]
    write(tmp_path, enhanced(positions, np.stack([stored(k) for k in order])))
    volume = read(tmp_path)
    assert volume.geometry.spacing == (1, 2, 3)
    assert [frame for _, frame in volume.source.frames] == [1, 3, 0, 2]
    for k, frame in enumerate([1, 3, 0, 2]):  # the factory's slope is the frame number + 1
        np.testing.assert_allclose(volume.array[:, :, k].T, stored(k) * (frame + 1.0) - 1024)


def test_an_enhanced_object_without_groups_has_no_orientation(tmp_path):
    ds = enhanced([(0, 0, 0), (0, 0, 3)], np.stack([stored(0), stored(1)]))
    del ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    refusal = refused(write(tmp_path, ds))
    assert refusal.code == "geometry-missing"
    assert "no orientation" in refusal.found
    assert "2 of 2 images" in refusal.found


def test_several_series_are_listed_and_a_rule_chooses(tmp_path):
    series(tmp_path / "a", series="1")
    series(tmp_path / "b", lambda ds, k: setattr(ds, "SliceThickness", 1.5), series="2")
    refusal = refused(tmp_path)
    assert refusal.code == "several-series"
    assert "more than one volume" in refusal.found
    assert "number 1, 4 x 5 x 6, 1 x 2 x 3 mm" in refusal.do
    assert read(tmp_path, "thickness<=2").source.case.endswith("-002")
    assert refused(tmp_path, "modality=MR").code == "rule-matches-none"
    assert refused(tmp_path, "size=3").code == "rule-invalid"


def test_a_refused_series_beside_a_sound_one_is_not_passed_over(tmp_path):
    series(tmp_path / "a", series="1")
    gap = [image(k, series="2") for k in (0, 1, 2, 4, 5)]
    write(tmp_path / "b", *gap)
    refusal = refused(tmp_path)
    assert refusal.code == "several-series"
    assert "refused: missing slice" in refusal.do


def test_reports_and_screen_captures_do_not_compete(tmp_path):
    series(tmp_path)
    for number, kind in (("7", RTStructureSetStorage), ("8", SecondaryCaptureImageStorage)):
        ds = image(series=number)
        ds.SOPClassUID = kind
        write(tmp_path, ds)
    assert read(tmp_path).array.shape == (COLUMNS, ROWS, SLICES)
    listed = [one for one in scan(tmp_path) if not one.usable]
    assert [one.findings[0].code for one in listed] == ["not-a-scan"] * 2
    assert "RT Structure Set" in listed[0].findings[0].words
    assert refused(tmp_path, "number=7").code == "not-a-scan"
    assert refused(tmp_path, "thickness=99").code == "rule-matches-none"


def test_a_folder_of_reports_holds_no_scan(tmp_path):
    for number in ("7", "8"):
        ds = image(series=number)
        ds.SOPClassUID = RTStructureSetStorage
        write(tmp_path, ds)
    assert refused(tmp_path).code == "no-scan"


def two_echoes(ds, k):
    ds.EchoTime = 10 if k % 2 else 80
    ds.ImagePositionPatient = [0, 0, 3.0 * (k // 2)]


def test_two_echoes_are_two_volumes_and_one_is_read_by_number(tmp_path):
    series(tmp_path, two_echoes)
    refusal = refused(tmp_path)
    assert refusal.code == "several-series"
    assert "told apart by echo time 10, echo time 80" in refusal.found
    first, second = (read(tmp_path, volume=n) for n in (0, 1))
    assert first.array[0, 0, 0] == 100 - 1024  # k = 1, the first with echo time 10
    assert second.array[0, 0, 0] == -1024
    assert first.source.case != second.source.case
    assert refused(tmp_path, volume=2).code == "volume-invalid"


@pytest.mark.parametrize("times", [(9, 80), (80, 9)])
def test_volumes_are_counted_in_the_order_of_their_values(tmp_path, times):
    def change(ds, k):
        ds.EchoTime, ds.ImagePositionPatient = times[k % 2], [0, 0, 3.0 * (k // 2)]

    words = [one.findings[0].words for one in scan(series(tmp_path, change))]
    assert words == ["This volume: echo time 9", "This volume: echo time 80"]


def test_two_attributes_together_tell_volumes_apart(tmp_path):
    def echo_and_time(ds, k):
        ds.EchoTime, ds.TemporalPositionIdentifier = (10, 80)[k % 2], 1 + k // 2 % 3
        ds.ImagePositionPatient = [0, 0, 3.0 * (k // 6)]

    found = scan(series(tmp_path, echo_and_time, slices=24))
    assert [one.images for one in found] == [4] * 6
    said = [one.findings[0].words for one in found]
    assert said[1] == "This volume: temporal position 1, echo time 80"
    assert said[5] == "This volume: temporal position 3, echo time 80"
    values = found[1].read().array[0, 0]
    assert (values + 1024 == 100 * np.array([1, 7, 13, 19])).all()


def test_a_volume_number_means_nothing_in_a_plain_series(tmp_path):
    assert refused(series(tmp_path), volume=1).code == "volume-invalid"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ds, k: setattr(ds, "FrameOfReferenceUID", uid(k // 3)),
         "frame of reference differs: 3 + 3 images"),
        (lambda ds, k: setattr(ds, "FrameOfReferenceUID", uid(k % 2)),
         "frame of reference differs: 3 + 3 images"),
        (lambda ds, k: setattr(ds, "PixelSpacing", [2, 1.01] if k == 2 else [2, 1]),
         "pixel spacing differs in 1 of 6 images"),
        (lambda ds, k: setattr(ds, "ConvolutionKernel", "sharp" if k < 2 else "soft"),
         "kernel differs: 4 + 2 images"),
        (lambda ds, k: setattr(ds, "EchoTime", 10 + k // 3), "echo time differs: 3 + 3 images"),
        (lambda ds, k: setattr(ds, "RescaleType", "US" if k == 0 else "HU"),
         "rescale type differs in 1 of 6 images"),
        (lambda ds, k: setattr(ds, "ImageType", ["DERIVED", "SECONDARY", "MPR"] if k > 2
                               else ["ORIGINAL", "PRIMARY", "AXIAL"]),
         "image type differs: 3 + 3 images"),
        (lambda ds, k: setattr(ds, "ImageOrientationPatient", [0, 1, 0, 0, 0, -1] if k > 2
                               else [1, 0, 0, 0, 1, 0]),
         "orientation differs: 3 + 3 images"),
    ],
)  # fmt: skip
def test_what_differs_within_one_stack_is_named(tmp_path, change, words):
    refusal = refused(series(tmp_path, change))
    assert refusal.code == "series-mixed"
    assert "more than one volume in one series" in refusal.found
    assert words in refusal.found


def test_magnitude_and_phase_are_two_volumes_by_their_image_type(tmp_path):
    def change(ds, k):
        ds.SOPClassUID, ds.Modality = MRImageStorage, "MR"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M" if k % 2 else "P", "ND"]
        ds.ImagePositionPatient = [0, 0, 3.0 * (k // 2)]

    assert [one.usable for one in scan(series(tmp_path, change))] == [True, True]
    refusal = refused(tmp_path)
    assert refusal.code == "several-series"
    assert "image type differs: 3 + 3 images" in refusal.found


def test_a_localizer_in_the_series_is_left_out_and_said(tmp_path):
    series(tmp_path)
    scout = image(99)
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    write(tmp_path, scout)
    volume = read(tmp_path)
    assert volume.array.shape == (COLUMNS, ROWS, SLICES)
    assert codes(volume) == ["localizer-left-out"]


def test_a_series_of_localizers_is_no_volume(tmp_path):
    path = series(tmp_path, lambda ds, k: setattr(ds, "ImageType", ["ORIGINAL", "X", "SCOUT"]))
    assert refused(path).code == "localizer"
    assert not scan(path)[0].scan


def test_one_stray_image_of_another_size_is_left_out_and_said(tmp_path):
    series(tmp_path)
    stray = with_pixels(image(7), stored(0, rows=9))
    write(tmp_path, stray)
    volume = read(tmp_path)
    assert volume.array.shape == (COLUMNS, ROWS, SLICES)
    assert "1 of 7 images differ in image size" in volume.findings[1].words


def test_colour_pages_are_left_out_of_a_series_and_refused_alone(tmp_path):
    series(tmp_path / "a")
    page = image(8)
    page.PhotometricInterpretation = "PALETTE COLOR"
    write(tmp_path / "a", page)
    assert codes(read(tmp_path / "a")) == ["colour-left-out"]
    write(tmp_path / "b", page)
    assert refused(tmp_path / "b").code == "colour"


def test_a_mosaic_is_refused_with_the_converter_that_helps(tmp_path):
    path = series(
        tmp_path, lambda ds, k: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "MOSAIC"])
    )
    refusal = refused(path)
    assert refusal.code == "mosaic"
    assert "dcm2niix" in refusal.do


def test_exact_copies_are_dropped_and_false_ones_refused(tmp_path):
    series(tmp_path)
    write(tmp_path, image(2))
    assert codes(read(tmp_path)) == ["copies-dropped"]
    other = with_pixels(image(3), stored(4))
    write(tmp_path, other)
    refusal = refused(tmp_path)
    assert refusal.code == "instance-repeated"
    assert "duplicate SOPInstanceUID with different content" in refusal.found


def test_two_patients_under_one_uid_are_refused(tmp_path):
    path = series(tmp_path, lambda ds, k: setattr(ds, "PatientID", "A" if k < 2 else "B"))
    refusal = refused(path)
    assert refusal.code == "patients-mixed"
    assert "2 patients carry one series UID: 4 + 2 images" in refusal.found


def test_one_series_uid_in_two_studies_is_refused(tmp_path):
    path = series(tmp_path, lambda ds, k: setattr(ds, "StudyInstanceUID", uid("s", k < 2)))
    assert "2 studies" in refused(path).found


@pytest.mark.parametrize(
    "keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
)
def test_images_that_do_not_say_where_they_lie_are_refused(tmp_path, keyword):
    path = series(tmp_path, lambda ds, k: delattr(ds, keyword) if k == 0 else None)
    refusal = refused(path)
    assert refusal.code == "geometry-missing"
    assert "1 of 6 images" in refusal.found


def test_a_pixel_spacing_of_zero_is_none(tmp_path):
    path = series(tmp_path, lambda ds, k: setattr(ds, "PixelSpacing", [0, 1]))
    assert "no pixel spacing above 0" in refused(path).found


def test_monochrome1_is_not_inverted_but_said(tmp_path):
    path = series(tmp_path, lambda ds, k: setattr(ds, "PhotometricInterpretation", "MONOCHROME1"))
    volume = read(path)
    assert volume.array[0, 0, 0] == -1024
    assert codes(volume) == ["monochrome1"]


def test_lossy_images_and_missing_ones_at_the_end_are_said(tmp_path):
    def change(ds, k):
        ds.LossyImageCompression, ds.ImagesInAcquisition = "01", 8
        ds.InstanceNumber = k + 3

    volume = read(series(tmp_path, change))
    assert codes(volume) == ["lossy", "numbers-missing", "images-fewer"]
    assert "numbered from 3 to 8" in volume.findings[1].words
    assert "6 images are here; the headers speak of 8" in volume.findings[2].words


def test_nothing_private_is_printed(tmp_path):
    series(tmp_path / "a", series="1")
    series(tmp_path / "b", two_echoes, series="2")
    write(tmp_path / "c", *[image(k, series="3") for k in (0, 1, 3)])
    write(tmp_path / "d", with_pixels(image(0, series="3"), stored(5)))
    listed = scan(tmp_path)
    said = [refused(tmp_path)]
    said += [one.refusal() for one in listed if not one.usable]
    said += [one.findings for one in listed]
    said += [repr(one) for one in listed] + [repr(one.slices[:1]) for one in listed]
    said += [repr(read(tmp_path, "number=1").source)]
    text = " ".join(map(str, said))
    for private in ("SECRET", "Secret", "1901", "20230405", "2.25.", str(tmp_path)):
        assert private not in text
