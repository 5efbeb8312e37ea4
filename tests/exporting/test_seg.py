import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from medseg.dicom import codes
from medseg.errors import InputRefused, OutputFailed
from medseg.exporting import seg
from medseg.labels import Label, LabelSet
from medseg.reading.segmentation import read_seg
from medseg.volume import LabelMap, Volume

LABELS = LabelSet(
    (
        Label(2, "Left kidney", codes.ANATOMICAL_STRUCTURE, codes.structure("kidney"),
              laterality="left", colour=(46, 138, 184)),
        Label(5, "Hippocampus, front", codes.ANATOMICAL_STRUCTURE, codes.structure("hippocampus"),
              (codes.ANTERIOR,), "right", (230, 159, 0)),
        Label(7, "Tumour", codes.ABNORMAL_STRUCTURE, codes.structure("neoplasm")),
    )
)  # fmt: skip
NUMBERS = np.array([0, 0, 1, 0, 0, 2, 0, 3])  # segment number of each label value


def make_labels(volume: Volume, seed: int = 0, labels: LabelSet = LABELS) -> LabelMap:
    """Return a mask of speckles; every label occurs."""
    values = np.array([0, 0, *(label.value for label in labels)])
    array = np.random.default_rng(seed).choice(values, volume.geometry.shape)
    array.flat[: len(values)] = values
    return LabelMap(array.astype(np.uint16), volume.geometry, labels)


@pytest.fixture
def volume(tmp_path, make_study, make_grid):
    return make_study(tmp_path / "scan", make_grid())


def change(volume: Volume, **values: object) -> None:
    """Set attributes in every file of a scan, or delete them where the value is None."""
    for path in volume.source.files:
        image = pydicom.dcmread(path)
        for keyword, value in values.items():
            if value is None:
                delattr(image, keyword)
            else:
                setattr(image, keyword, value)
        image.save_as(path)


@settings(max_examples=25, deadline=None, phases=[Phase.generate])  # shrinking takes minutes
@given(
    # highdicom 0.28.2 scrambles frames of fewer than 8 pixels.
    shape=st.tuples(st.integers(3, 9), st.integers(3, 9), st.integers(1, 6)),
    spacing=st.tuples(*[st.floats(0.3, 8)] * 3),
    seed=st.integers(0, 2**32),
    mirrored=st.booleans(),
    shear=st.sampled_from([0.0, 0.3]),
    multi_frame=st.booleans(),
)
def test_a_mask_comes_back_on_the_scan_voxel_for_voxel(
    tmp_path_factory, make_study, make_grid, shape, spacing, seed, mirrored, shear, multi_frame
):
    # Fails if files and array run in different orders, or rows and columns are exchanged.
    grid = make_grid(shape, spacing, seed=seed, mirrored=mirrored, shear=shear)
    folder = tmp_path_factory.mktemp("seg")
    volume = make_study(folder / "scan", grid, multi_frame=multi_frame and shape[2] > 1)
    labels = make_labels(volume, seed)
    seg.write(labels, folder / "seg.dcm", volume)
    seg.verify(folder / "seg.dcm", labels, volume)
    read = read_seg(folder / "seg.dcm", onto=volume)
    np.testing.assert_array_equal(read.array, NUMBERS[labels.array])


@pytest.mark.parametrize("shear", [0.0, 0.3])
def test_highdicom_reads_the_same_voxels_by_reference_to_the_slices(
    tmp_path, make_study, make_grid, shear
):
    volume = make_study(tmp_path / "scan", make_grid(shear=shear))
    labels = make_labels(volume)
    seg.write(labels, tmp_path / "seg.dcm", volume)
    in_order = [pydicom.dcmread(path).SOPInstanceUID for path, _ in volume.source.frames]
    frames = hd.seg.segread(tmp_path / "seg.dcm").get_pixels_by_source_instance(
        in_order, combine_segments=True, assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(frames.T, NUMBERS[labels.array])


def test_highdicom_reads_the_same_voxels_by_reference_to_frames(tmp_path, make_study, make_grid):
    volume = make_study(tmp_path / "scan", make_grid(), multi_frame=True)
    labels = make_labels(volume)
    labels.array[..., 0] = 0  # the first slice is left out: frames and k no longer run together
    seg.write(labels, tmp_path / "seg.dcm", volume)
    source = pydicom.dcmread(volume.source.files[0]).SOPInstanceUID
    frames = hd.seg.segread(tmp_path / "seg.dcm").get_pixels_by_source_frame(
        source,
        [number + 1 for _, number in volume.source.frames],
        combine_segments=True,
        assert_missing_frames_are_empty=True,
    )
    np.testing.assert_array_equal(frames.T, NUMBERS[labels.array])


@pytest.mark.peer
@pytest.mark.parametrize("mirrored", [False, True])
def test_dcmqi_reads_the_same_voxels_at_the_same_place(tmp_path, make_study, make_grid, mirrored):
    beside_python = Path(sys.executable).parent / "segimage2itkimage"
    program = shutil.which("segimage2itkimage") or shutil.which(beside_python)
    if program is None:
        pytest.skip("dcmqi is not installed: pip install dcmqi")
    volume = make_study(tmp_path / "scan", make_grid(mirrored=mirrored))
    labels = make_labels(volume)
    labels.array[..., 0] = 0  # dcmqi returns only the slices there are
    seg.write(labels, tmp_path / "seg.dcm", volume)
    subprocess.run(
        [program, "--inputDICOM", tmp_path / "seg.dcm", "--outputDirectory", tmp_path,
         "--outputType", "nii", "--mergeSegments"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    (file,) = tmp_path.glob("*.nii*")
    read = nib.nifti1.load(file)
    found = np.asarray(read.dataobj)
    index = np.argwhere(found)
    place = nib.affines.apply_affine(
        np.linalg.inv(volume.geometry.affine) @ read.affine, index
    )  # in voxels of the scan
    np.testing.assert_allclose(place, np.rint(place), atol=1e-3)
    ours = np.zeros(volume.geometry.shape, int)
    ours[tuple(np.rint(place).astype(int).T)] = found[tuple(index.T)]
    np.testing.assert_array_equal(ours, NUMBERS[labels.array])


def complaints(path: Path) -> list[str]:
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True)
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
@pytest.mark.parametrize("multi_frame", [False, True])
@pytest.mark.parametrize("shear", [0.0, 0.3])
def test_dciodvfy_finds_no_error(tmp_path, make_study, make_grid, multi_frame, shear):
    grid = make_grid(spacing=(1 / 3, 2 / 3, 10 / 7), shear=shear)  # long decimals
    volume = make_study(tmp_path / "scan", grid, multi_frame=multi_frame)
    private = LabelSet((*LABELS, Label(9, "Îlot ß 海馬 " + "x" * 80)))
    seg.write(make_labels(volume, labels=private), tmp_path / "seg.dcm", volume, algorithm="n" * 90)
    assert complaints(tmp_path / "seg.dcm") == []


def test_no_decimal_string_is_longer_than_16_characters(tmp_path, make_study, make_grid):
    volume = make_study(tmp_path / "scan", make_grid(spacing=(1 / 3, 2 / 3, 1e-3 + 1 / 7)))
    seg.write(make_labels(volume), tmp_path / "seg.dcm", volume)
    lengths = [
        len(str(value))
        for element in pydicom.dcmread(tmp_path / "seg.dcm").iterall()
        if element.VR == "DS"
        for value in (element.value if element.VM > 1 else [element.value])
    ]
    assert max(lengths) <= 16


def test_frames_run_from_the_first_to_the_last_slice_with_none_left_out(tmp_path, volume):
    labels = make_labels(volume)
    labels.array[..., [0, 2, 4]] = 0
    seg.write(labels, tmp_path / "seg.dcm", volume)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    assert dataset.NumberOfFrames == 3 * 3  # slices 1 to 3, of which 2 is empty; 3 segments
    seg.verify(tmp_path / "seg.dcm", labels, volume)


def test_a_mask_of_one_slice_keeps_place_and_thickness_of_its_slices(tmp_path, volume):
    labels = make_labels(volume)
    labels.array[..., [0, 1, 2, 4]] = 0
    seg.write(labels, tmp_path / "seg.dcm", volume)
    seg.verify(tmp_path / "seg.dcm", labels, volume)
    alone = read_seg(tmp_path / "seg.dcm")
    assert alone.geometry.shape == (7, 6, 1)
    assert alone.geometry.spacing == pytest.approx(volume.geometry.spacing)


def test_300_labels_come_back(tmp_path, make_study, make_grid):
    volume = make_study(tmp_path / "scan", make_grid((20, 18, 4)))
    many = LabelSet(tuple(Label(n, f"Part {n}", type=codes.structure("rib"))
                          for n in range(1, 301)))  # fmt: skip
    labels = make_labels(volume, labels=many)
    assert not seg.write(labels, tmp_path / "seg.dcm", volume)
    seg.verify(tmp_path / "seg.dcm", labels, volume)
    assert read_seg(tmp_path / "seg.dcm").array.dtype == np.uint16


def test_segments_carry_codes_side_modifiers_colour_and_the_model(tmp_path, volume):
    seg.write(make_labels(volume), tmp_path / "seg.dcm", volume, algorithm="organs", version="2.1")
    read = read_seg(tmp_path / "seg.dcm").labels
    for label, ours in zip(read, LABELS, strict=True):
        assert replace(label, value=ours.value, colour=ours.colour) == ours
        np.testing.assert_allclose(label.colour, ours.colour, atol=1)
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    hippocampus = dataset.SegmentSequence[1]
    coded = hippocampus.SegmentedPropertyTypeCodeSequence[0]
    assert [item.CodeValue for item in coded.SegmentedPropertyTypeModifierCodeSequence] == [
        "24028007",  # Right
        "255549009",  # Anterior
    ]
    algorithm = hippocampus.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("organs", "2.1")
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"  # PS3.16 CID 7162


def test_the_seg_belongs_to_patient_study_and_frame_of_reference_of_the_scan(tmp_path, volume):
    seg.write(make_labels(volume), tmp_path / "seg.dcm", volume)
    made, scan = pydicom.dcmread(tmp_path / "seg.dcm"), pydicom.dcmread(volume.source.files[0])
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID",
                    "StudyDate", "StudyID", "AccessionNumber", "FrameOfReferenceUID"):  # fmt: skip
        assert made[keyword].value == scan[keyword].value
    assert made.SeriesInstanceUID != scan.SeriesInstanceUID
    assert made.SeriesNumber == 100


def test_labels_without_a_code_get_a_private_one_and_absent_ones_no_segment(tmp_path, volume):
    labels = make_labels(volume, labels=LabelSet((Label(1, "Bean"),)))
    labels = replace(labels, labels=LabelSet((Label(1, "Bean"), Label(3, "Pea"),
                                              Label(4, "Both", region=(1, 3)))))  # fmt: skip
    findings = seg.write(labels, tmp_path / "seg.dcm", volume)
    assert [finding.code for finding in findings] == ["segments-absent", "codes-private"]
    assert "Pea" in findings[0].words
    assert "Both" not in findings[0].words
    (bean,) = read_seg(tmp_path / "seg.dcm").labels
    assert (bean.type.scheme, bean.type.meaning) == ("99MEDSEG", "Bean")
    assert bean.category == codes.TISSUE


def test_a_code_without_a_category_gets_that_of_its_structure(tmp_path, volume):
    kinds = LabelSet((Label(1, "A", type=codes.structure("cyst")),
                      Label(2, "B", type=codes.structure("liver"))))  # fmt: skip
    assert not seg.write(make_labels(volume, labels=kinds), tmp_path / "seg.dcm", volume)
    read = read_seg(tmp_path / "seg.dcm").labels
    assert [label.category for label in read] == [
        codes.ABNORMAL_STRUCTURE,
        codes.ANATOMICAL_STRUCTURE,
    ]


def test_orientations_that_jitter_in_the_last_digits_are_accepted(tmp_path, volume):
    for n, (path, _) in enumerate(volume.source.frames):
        image = pydicom.dcmread(path)
        image.ImageOrientationPatient[0] += n * 5e-6
        image.save_as(path)
    labels = make_labels(volume)
    seg.write(labels, tmp_path / "seg.dcm", volume)
    seg.verify(tmp_path / "seg.dcm", labels, volume)


def test_headers_without_what_may_be_empty_are_accepted(tmp_path, volume):
    change(volume, PatientBirthDate=None, StudyTime=None, AccessionNumber=None, StudyID=None,
           SliceThickness=None, ReferringPhysicianName=None, PatientSex=None)  # fmt: skip
    labels = make_labels(volume)
    seg.write(labels, tmp_path / "seg.dcm", volume)
    seg.verify(tmp_path / "seg.dcm", labels, volume)
    assert pydicom.dcmread(tmp_path / "seg.dcm").PatientBirthDate == ""


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_in_any_script_survive_beside_labels_in_another(tmp_path, volume, charset, name):
    change(volume, SpecificCharacterSet=charset, PatientName=name)
    labels = make_labels(volume, labels=LabelSet((Label(1, "Niere – почка"),)))
    seg.write(labels, tmp_path / "seg.dcm", volume)
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    assert str(made.PatientName) == name
    assert made.SegmentSequence[0].SegmentLabel == "Niere – почка"


def test_the_input_is_not_changed(tmp_path, volume):
    before = [path.read_bytes() for path in volume.source.files]
    seg.write(make_labels(volume), tmp_path / "seg.dcm", volume)
    assert [path.read_bytes() for path in volume.source.files] == before


@pytest.mark.parametrize(
    ("code", "damage"),
    [
        ("frame-of-reference-missing", {"FrameOfReferenceUID": None}),
        ("seg-failed", {"ImagePositionPatient": [0, 0, 0]}),
        ("seg-failed", {"StudyInstanceUID": None}),
    ],
)
def test_a_scan_that_no_seg_can_refer_to_is_refused_without_patient_data(
    tmp_path, volume, code, damage
):
    change(volume, **damage)
    with pytest.raises((InputRefused, OutputFailed)) as refusal:
        seg.write(make_labels(volume), tmp_path / "seg.dcm", volume)
    assert refusal.value.code == code
    assert "Doe" not in str(refusal.value)
    assert not (tmp_path / "seg.dcm").exists()


def test_a_scan_whose_files_went_away_is_refused(tmp_path, volume):
    volume.source.files[2].unlink()
    with pytest.raises(InputRefused) as refusal:
        seg.write(make_labels(volume), tmp_path / "seg.dcm", volume)
    assert refusal.value.code == "source-gone"


def test_a_scan_that_was_changed_since_it_was_read_has_no_frames_to_refer_to(tmp_path, volume):
    fewer = replace(volume, source=replace(volume.source, frames=volume.source.frames[1:]))
    with pytest.raises(InputRefused, match="slices but 4 source frames") as refusal:
        seg.write(make_labels(volume), tmp_path / "seg.dcm", fewer)
    assert refusal.value.code == "source-frames"


def test_a_mask_on_another_grid_or_with_unnamed_values_is_refused(tmp_path, volume, make_grid):
    labels = make_labels(volume)
    elsewhere = labels.moved(labels.array, make_grid(spacing=(1, 1, 1)))
    unnamed = replace(labels, labels=LabelSet((LABELS[2],)))
    for wrong, code in ((elsewhere, "seg-grid"), (unnamed, "labels-unknown")):
        with pytest.raises(OutputFailed) as refusal:
            seg.write(wrong, tmp_path / "seg.dcm", volume)
        assert refusal.value.code == code


def test_verification_sees_a_voxel_a_name_and_a_place(tmp_path, volume, make_grid):
    labels = make_labels(volume)
    seg.write(labels, tmp_path / "seg.dcm", volume)
    flipped = replace(labels, array=labels.array[::-1])
    renamed = replace(labels, labels=LabelSet(tuple(
        replace(label, name=label.name + "?") for label in LABELS)))  # fmt: skip
    moved_grid = make_grid(seed=4)
    moved = labels.moved(labels.array, moved_grid)
    for wrong, scan, words in (
        (flipped, volume, "voxels differ"),
        (renamed, volume, "names"),
        (moved, volume.moved(volume.array, moved_grid), "does not lie on the voxels"),
    ):
        with pytest.raises(OutputFailed, match=words) as failure:
            seg.verify(tmp_path / "seg.dcm", wrong, scan)
        assert failure.value.code == "verify-failed"
