"""Folders of DICOM studies, labelled by RTSTRUCT and SEG."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from medseg.datasets import open_dataset, read_case
from medseg.errors import InputRefused
from tests.reading.factory import series, uid
from tests.reading.structures import SQUARE, contour, outline, refer, save, structure_set

DATA = Path(__file__).parents[3] / "shared" / "data"


def write_study(folder, study, rois=(("GTV one", 1),), *, number="1", patient=None, named=True):
    """Write a CT and a structure set of squares on its slices: ``(name, slice)`` each."""
    from medseg.reading import read

    def change(ds, k):
        ds.PatientID = patient or f"SECRET-{study}"

    place = series(folder / f"ct-{number}", change, study=study, series=number)
    grid = read(place).geometry
    drawn = [
        (n, name, [contour(outline(grid, SQUARE, k), uid(study, number, k))])
        for n, (name, k) in enumerate(rois, start=1)
    ]
    ds = structure_set(*drawn)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid(study), uid(study, number, "drawn")
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid(study, number, "rt")
    if named:
        refer(ds, uid(study, number), *(uid(study, number, k) for k in range(6)))
    save(folder / f"rt-{number}.dcm", ds)
    return folder


def manifest(folder, text):
    path = folder / "mine.yaml"
    path.write_text("dicom: studies\n" + text)
    return path


def test_scans_open_with_the_structures_drawn_on_them(tmp_path):
    write_study(tmp_path / "a", "1", [("GTV", 1), ("Cord", 3)])
    write_study(tmp_path / "b", "2", [("gtv", 2)])
    dataset = open_dataset(tmp_path)
    assert dataset.channels == ("CT",)
    assert sorted(label.name.lower() for label in dataset.labels) == ["cord", "gtv"]
    counts = [np.bincount(read_case(case, dataset.labels)[1].array.ravel(), minlength=3).tolist()
              for case in dataset.cases]  # fmt: skip
    assert sorted(count[1:] for count in counts) == [[0, 12], [12, 12]]


def test_patients_are_told_apart_and_never_named(tmp_path):
    write_study(tmp_path / "a", "1", patient="SECRET-9")
    write_study(tmp_path / "b", "2", patient="SECRET-9")
    write_study(tmp_path / "c", "3")
    dataset = open_dataset(tmp_path)
    patients = [case.patient for case in dataset.cases]
    assert len(set(patients)) == 2
    assert "SECRET" not in repr(dataset)


def test_a_label_is_chosen_by_a_pattern_and_joins_all_that_fit(tmp_path):
    write_study(tmp_path / "studies" / "a", "1", [("GTV_1", 1), ("gtv_2", 1), ("Cord", 3)])
    path = manifest(tmp_path, "labels: [{value: 4, name: Tumour}]\nstructures: {Tumour: 'GTV*'}")
    dataset = open_dataset(path)
    _, truth = read_case(dataset.cases[0], dataset.labels)
    assert np.unique(truth.array).tolist() == [0, 4]
    assert np.count_nonzero(truth.array) == 12  # both are the same square


def test_a_scan_with_none_of_the_labels_is_left_out_with_a_finding(tmp_path):
    write_study(tmp_path / "studies" / "a", "1", [("GTV", 1)])
    write_study(tmp_path / "studies" / "b", "2", [("Cord", 1)])
    dataset = open_dataset(manifest(tmp_path, "labels: [{value: 1, name: GTV}]"))
    assert len(dataset.cases) == 1
    assert [one.code for one in dataset.findings] == ["labels-absent"]


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("Tumour left", "Cord"), "structures-ambiguous"),
        (("Tumour", "Cord left"), "structures-overlap"),
    ],
)
def test_structures_of_two_labels_may_neither_be_one_nor_overlap(tmp_path, names, code):
    write_study(tmp_path / "studies" / "a", "1", [(name, 1) for name in names])
    path = manifest(tmp_path, "labels: [{value: 1, name: A}, {value: 2, name: B}]\n"
                              "structures: {A: 'Tumour*', B: '*left'}")  # fmt: skip
    dataset = open_dataset(path)
    with pytest.raises(InputRefused, match=r"^Case ") as refusal:
        read_case(dataset.cases[0], dataset.labels)
    assert refusal.value.code == code


def test_two_structure_sets_of_one_scan_leave_it_out(tmp_path):
    write_study(tmp_path / "a", "1")
    write_study(tmp_path / "b", "2")
    first = tmp_path / "a" / "rt-1.dcm"
    import pydicom

    ds = pydicom.dcmread(first)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid("another")
    save(tmp_path / "a" / "again.dcm", ds)
    dataset = open_dataset(tmp_path)
    assert len(dataset.cases) == 1
    assert [one.code for one in dataset.findings] == ["labels-several"]


def test_structures_without_their_scan_are_told(tmp_path):
    write_study(tmp_path / "a", "1")
    write_study(tmp_path / "b", "2")
    for file in (tmp_path / "b" / "ct-1").iterdir():
        file.unlink()
    dataset = open_dataset(tmp_path)
    assert [one.code for one in dataset.findings] == ["labels-without-scan"]


def test_one_frame_of_reference_is_not_enough(tmp_path):
    # the second series of the study shares the frame and has no structures
    write_study(tmp_path / "a", "1")
    series(tmp_path / "a" / "ct-2", study="1", series="2")
    assert len(open_dataset(tmp_path).cases) == 1


def test_series_in_one_folder_are_told_apart(tmp_path):
    write_study(tmp_path, "1", [("GTV", 1)])
    write_study(tmp_path, "2", [("GTV", 2)], number="2")
    together = tmp_path / "together"
    together.mkdir()
    for n, file in enumerate(sorted((tmp_path / "ct-1").iterdir())):
        file.rename(together / f"a{n}")
    for n, file in enumerate(sorted((tmp_path / "ct-2").iterdir())):
        file.rename(together / f"b{n}")
    dataset = open_dataset(tmp_path)
    slices = [int(np.argwhere(read_case(case, dataset.labels)[1].array)[0, 2])
              for case in dataset.cases]  # fmt: skip
    assert sorted(slices) == [1, 2]


def test_scans_of_several_modalities_need_a_rule(tmp_path):
    write_study(tmp_path / "studies" / "a", "1")
    write_study(tmp_path / "studies" / "b", "2")
    import pydicom

    for file in (tmp_path / "studies" / "b" / "ct-1").iterdir():
        ds = pydicom.dcmread(file)
        ds.Modality = "PT"
        ds.save_as(file)
    with pytest.raises(InputRefused, match="Scans of CT, PT have labels"):
        open_dataset(tmp_path / "studies")
    dataset = open_dataset(manifest(tmp_path, "channels: {PET: modality=PT}"))
    assert (dataset.channels, len(dataset.cases)) == (("PET",), 1)


def test_a_folder_of_scans_without_labels_is_no_data_set(tmp_path):
    series(tmp_path / "ct")
    with pytest.raises(InputRefused) as refusal:
        open_dataset(tmp_path)
    assert refusal.value.code == "dataset-unknown"


@pytest.mark.peer
def test_the_tumours_of_real_studies_have_their_reference_volumes(tmp_path):
    # shared/data/README.md, measured there from the masks of the data set's authors
    if not DATA.exists():
        pytest.skip("needs ../shared")
    for name in ("STS_002", "STS_008"):
        with zipfile.ZipFile(DATA / "STS_dicom" / f"{name}.zip") as archive:
            archive.extractall(tmp_path / "studies")
    for reference in (tmp_path / "studies").rglob("*.nii.gz"):
        reference.unlink()
    path = manifest(
        tmp_path,
        "channels: {MR: modality=MR, PET: modality=PT}\n"
        "labels: [{value: 1, name: GTV}]\nstructures: {GTV: 'gtv*'}",
    )
    dataset = open_dataset(path)
    read = [read_case(case, dataset.labels) for case in dataset.cases]
    assert sorted(round(truth.volumes_ml()["GTV"], 2) for _, truth in read) == [27.64, 53.29]
    assert {volume.channels for volume, _ in read} == {2}
