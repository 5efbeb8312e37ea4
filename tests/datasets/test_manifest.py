"""Data sets described by a table or by YAML."""

import numpy as np
import pytest

from medseg.datasets import open_dataset, read_case, split
from medseg.errors import InputRefused, PlanRefused
from tests.datasets.test_dataset import save


@pytest.fixture
def files(tmp_path):
    """Three cases of two channels, called by nothing but a manifest."""
    for n in range(3):
        for name in ("t1", "flair"):
            save(tmp_path / f"p{n}" / f"{name}.nii.gz", np.full((4, 5, 6), n, np.float32))
        truth = np.zeros((4, 5, 6), np.uint8)
        truth[1, 1, 1] = 7
        save(tmp_path / f"p{n}" / "truth.nii.gz", truth)
    return tmp_path


def table(folder, columns, *rows):
    path = folder / "dataset.csv"
    path.write_text("\n".join([columns, *rows]))
    return path


TWO = "case,patient,image_T1,image_FLAIR,label,fold"
ROWS = [f"c{n},x{n // 2},p{n}/t1.nii.gz,p{n}/flair.nii.gz,p{n}/truth.nii.gz,{n % 2}"
        for n in range(3)]  # fmt: skip


def test_a_table_opens_with_channels_patients_and_the_labels_of_its_files(files):
    dataset = open_dataset(table(files, TWO, *ROWS))
    assert dataset.channels == ("T1", "FLAIR")
    assert [(case.name, case.patient) for case in dataset.cases] == [
        ("c0", "x0"), ("c1", "x0"), ("c2", "x1")]  # fmt: skip
    assert [(label.value, label.name) for label in dataset.labels] == [(7, "Label 7")]
    volume, truth = read_case(dataset.cases[2], dataset.labels)
    assert volume.array.shape == (4, 5, 6, 2)
    assert truth.array[1, 1, 1] == 7


def test_a_folder_may_hold_its_manifest(files):
    path = table(files, TWO, *ROWS)
    assert open_dataset(files).cases == open_dataset(path).cases


def test_the_folds_of_a_table_are_its_split_and_may_not_divide_a_patient(files):
    dataset = open_dataset(table(files, TWO, *ROWS))
    assert [fold.held_out for fold in dataset.folds] == [("c0", "c2"), ("c1",)]
    with pytest.raises(InputRefused, match="Cases c1 and c0 are of one patient"):
        split(dataset, 0)


@pytest.mark.parametrize(
    ("columns", "rows", "words"),
    [
        ("case,image", ["a,p0/t1.nii.gz"], "columns case, image"),
        ("case,image,label,colour", ["a,b,c,d"], "colour"),
        ("case,image,label", [], "columns none"),
        ("case,image,label", ["a,p0/t1.nii.gz,p9/truth.nii.gz"], "truth.nii.gz is not there"),
        ("case,image,label", ["a,p0/t1.nii.gz,p0/truth.nii.gz"] * 2, "Case a is listed twice"),
        ("case,image,image_T2,label", ["a,p0/t1.nii.gz,,p0/truth.nii.gz"],
         "Case a has 1 images, the data set 2"),
        ("case,image,label,fold", ["a,p0/t1.nii.gz,p0/truth.nii.gz,0",
                                   "b,p1/t1.nii.gz,p1/truth.nii.gz,"], "Case b is in no fold"),
    ],
)  # fmt: skip
def test_a_table_that_says_too_little_is_refused(files, columns, rows, words):
    with pytest.raises(InputRefused, match=words):
        open_dataset(table(files, columns, *rows))


@pytest.mark.parametrize("row", [",p0/t1.nii.gz,p0/truth.nii.gz", "a,p0/t1.nii.gz,",
                                 "a/b,p0/t1.nii.gz,p0/truth.nii.gz"])  # fmt: skip
def test_a_row_that_says_too_little_is_named_by_its_line(files, row):
    with pytest.raises(PlanRefused, match=r"dataset\.csv:2"):
        open_dataset(table(files, "case,image,label", row))


YAML = """
name: Brains
channels: [T1]
labels: [{value: 7, name: Lesion}]
ignore: 9
cases:
  - {case: b, patient: x, images: [p1/t1.nii.gz], label: p1/truth.nii.gz}
  - {case: a, images: [p0/t1.nii.gz], label: p0/truth.nii.gz}
"""


def test_yaml_names_labels_and_what_is_ignored(files):
    (files / "mine.yaml").write_text(YAML)
    dataset = open_dataset(files / "mine.yaml")
    assert (dataset.name, dataset.channels, dataset.ignore) == ("Brains", ("T1",), 9)
    assert [case.name for case in dataset.cases] == ["a", "b"]
    assert [(label.value, label.name) for label in dataset.labels] == [(7, "Lesion")]


def test_what_is_ignored_is_no_label_that_the_files_hold(files):
    (files / "mine.yaml").write_text(YAML.replace("ignore: 9", "ignore: 7"))
    text = (files / "mine.yaml").read_text()
    start, end = text.index("labels:"), text.index("ignore:")
    (files / "mine.yaml").write_text(text[:start] + text[end:])
    dataset = open_dataset(files / "mine.yaml")
    assert (dataset.labels.values, dataset.ignore) == ((0,), 7)
    assert read_case(dataset.cases[0], dataset.labels, dataset.ignore)[1].array.max() == 7


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("cases:", "kases:"), "kases"),
        (("name: Brains", "dicom: ."), "either cases or dicom"),
        (("channels: [T1]", "channels: {T1: modality=MR}"), "list the names"),
        (("value: 7", "value: x"), "mine.yaml:4"),
    ],
)
def test_yaml_with_a_mistake_is_refused_with_what_it_is(files, change, words):
    (files / "mine.yaml").write_text(YAML.replace(*change))
    with pytest.raises(PlanRefused, match=words):
        open_dataset(files / "mine.yaml")


def test_another_kind_of_file_is_no_data_set(files):
    with pytest.raises(InputRefused, match=r"\.gz file is no manifest"):
        open_dataset(files / "p0" / "t1.nii.gz")
