"""Labelled cases in the layouts of the Decathlon and of nnU-Net."""

import json

import nibabel
import numpy as np
import pytest

from medseg.datasets import fold_of, open_dataset, read_case
from medseg.datasets.statistics import foreground_window
from medseg.datasets.store import store_cases
from medseg.errors import InputRefused, PlanRefused
from medseg.labels import LabelSet
from medseg.plan import Channel, Network, Plan


def save(path, array, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


def make_msd(folder, cases=3, channels=1, labels=None):
    rng = np.random.default_rng(0)
    pairs = []
    for n in range(cases):
        shape = (6, 7, 8) if channels == 1 else (6, 7, 8, channels)
        save(folder / "imagesTr" / f"case_{n}.nii.gz", rng.normal(size=shape).astype(np.float32))
        truth = np.zeros((6, 7, 8), np.uint8)
        truth[1:3, 2:4, 1 + n : 4 + n] = 5
        save(folder / "labelsTr" / f"case_{n}.nii.gz", truth)
        pairs.append({"image": f"./imagesTr/case_{n}.nii.gz",
                      "label": f"./labelsTr/case_{n}.nii.gz"})  # fmt: skip
    content = {
        "name": "Made up",
        "modality": {str(c): "MRI" for c in range(channels)},
        "labels": labels or {"0": "background", "5": "Lump"},
        "training": pairs,
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def make_nnunet(folder):
    for n in range(2):
        for c in range(2):
            save(folder / "imagesTr" / f"x{n}_000{c}.nii.gz", np.full((4, 4, 4), c, np.int16))
        save(folder / "labelsTr" / f"x{n}.nii.gz", np.ones((4, 4, 4), np.uint8))
    content = {"channel_names": {"0": "T1", "1": "T2"}, "file_ending": ".nii.gz",
               "labels": {"background": 0, "all": 1}, "numTraining": 2}  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def make_plan(labels, **changes):
    told = {"spacing": (1, 1, 1), "channels": (Channel(name="MR"),), "patch": (4, 4, 4),
            "network": Network(name="unet"), "labels": labels}  # fmt: skip
    return Plan(**(told | changes))


def test_a_decathlon_folder_opens_with_its_labels_and_cases(tmp_path):
    dataset = open_dataset(make_msd(tmp_path))
    assert [case.name for case in dataset.cases] == ["case_0", "case_1", "case_2"]
    assert dataset.channels == ("MR",)
    assert [(label.value, label.name) for label in dataset.labels] == [(5, "Lump")]
    volume, truth = read_case(dataset.cases[1], dataset.labels)
    assert volume.array.shape == truth.array.shape == (6, 7, 8)
    assert truth.array[1, 2, 2] == 5


def test_channels_in_one_file_are_read_one_by_one(tmp_path):
    dataset = open_dataset(make_msd(tmp_path, channels=2))
    volume, _ = read_case(dataset.cases[0], dataset.labels)
    stored = nibabel.load(tmp_path / "imagesTr" / "case_0.nii.gz").get_fdata()
    np.testing.assert_allclose(volume.array, stored, rtol=1e-6)


def test_an_nnunet_folder_opens_with_its_channels(tmp_path):
    dataset = open_dataset(make_nnunet(tmp_path))
    volume, truth = read_case(dataset.cases[0], dataset.labels)
    assert dataset.channels == ("T1", "T2")
    assert volume.array[0, 0, 0].tolist() == [0, 1]
    assert truth.array.min() == 1


def test_a_folder_without_description_is_refused(tmp_path):
    with pytest.raises(InputRefused, match=r"no dataset\.json of a known layout"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"training": 3, "labels": {}, "modality": {}}'])
def test_a_damaged_description_is_refused(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputRefused, match=r"dataset\.json"):
        open_dataset(tmp_path)


def test_a_missing_file_is_named_with_its_case(tmp_path):
    make_msd(tmp_path)
    (tmp_path / "labelsTr" / "case_2.nii.gz").unlink()
    with pytest.raises(InputRefused, match=r"Case case_2: case_2\.nii\.gz is not there"):
        open_dataset(tmp_path)


def test_a_label_value_that_nobody_named_is_refused(tmp_path):
    dataset = open_dataset(make_msd(tmp_path, labels={"0": "background", "1": "Lump"}))
    with pytest.raises(InputRefused, match=r"Case case_0: The values 5 have no name"):
        read_case(dataset.cases[0], dataset.labels)


def test_image_and_label_on_different_grids_are_refused(tmp_path):
    make_msd(tmp_path)
    save(tmp_path / "labelsTr" / "case_0.nii.gz", np.zeros((6, 7, 8), np.uint8),
         np.diag([-1.0, 1, 1, 1]))  # fmt: skip
    dataset = open_dataset(tmp_path)
    with pytest.raises(InputRefused, match="case_0: image and label lie on different grids"):
        read_case(dataset.cases[0], dataset.labels)


def test_folds_part_the_cases_and_repeat():
    names = [f"c{n:02d}" for n in range(23)]
    folds = [fold_of(names, n) for n in range(5)]
    held = [name for fold in folds for name in fold.held_out]
    assert sorted(held) == names
    assert all(not set(fold.train) & set(fold.held_out) for fold in folds)
    assert fold_of(list(reversed(names)), 2) == folds[2]


def test_folds_are_those_of_scikit_learn():
    # KFold(5, shuffle=True, random_state=12345) over 10 sorted names, scikit-learn 1.9.1
    held = [[int(name) for name in fold_of([str(n) for n in range(10)], n).held_out]
            for n in range(5)]  # fmt: skip
    rng = np.random.RandomState(12345)
    order = np.arange(10)
    rng.shuffle(order)
    assert held == [sorted(order[2 * n : 2 * n + 2].tolist()) for n in range(5)]


@pytest.mark.parametrize("number", [-1, 5])
def test_a_fold_that_does_not_exist_is_refused(number):
    with pytest.raises(PlanRefused, match="There is no fold"):
        fold_of(list("abcdef"), number)


def test_the_store_keeps_class_numbers_and_where_they_are(tmp_path):
    dataset = open_dataset(make_msd(tmp_path / "data"))
    plan = make_plan(dataset.labels)
    stored = store_cases(dataset.cases, plan, tmp_path / "store")
    assert stored[0].image.shape == (6, 7, 8, 1)
    assert np.unique(stored[0].classes).tolist() == [0, 1]  # class 1 for value 5
    assert (stored[0].classes[tuple(stored[0].foreground[1].T)] == 1).all()


def test_the_store_is_not_made_twice_but_anew_for_another_plan(tmp_path):
    dataset = open_dataset(make_msd(tmp_path / "data"))
    store_cases(dataset.cases, make_plan(dataset.labels), tmp_path / "store")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").iterdir()}
    store_cases(dataset.cases, make_plan(dataset.labels), tmp_path / "store")
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "store").iterdir()}
    store_cases(dataset.cases, make_plan(dataset.labels, spacing=(2, 1, 1)), tmp_path / "store")
    assert len(list((tmp_path / "store").iterdir())) == 2 * len(times)


def test_the_window_of_ct_is_measured_in_the_foreground(tmp_path):
    make_msd(tmp_path)
    array = np.full((6, 7, 8), -1000, np.float32)
    array[1:3, 2:4, :] = np.linspace(0, 100, 8)
    for n in range(3):
        save(tmp_path / "imagesTr" / f"case_{n}.nii.gz", array)
    dataset = open_dataset(tmp_path)
    window = foreground_window(dataset.cases, dataset.labels, 0, seed=0)
    assert -1 < window.low < window.mean < window.high < 101


def test_a_data_set_without_foreground_cannot_be_measured(tmp_path):
    make_msd(tmp_path)
    for n in range(3):
        save(tmp_path / "labelsTr" / f"case_{n}.nii.gz", np.zeros((6, 7, 8), np.uint8))
    dataset = open_dataset(tmp_path)
    with pytest.raises(InputRefused, match="No case has a labelled voxel"):
        foreground_window(dataset.cases, LabelSet(dataset.labels.labels), 0, seed=0)
