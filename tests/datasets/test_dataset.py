"""Labelled cases in the layouts of the Decathlon and of nnU-Net."""

import json

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.datasets import fold_of, open_dataset, read_case, split
from medseg.datasets.statistics import foreground_window
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


def make_nnunet(folder, names=("x0", "x1")):
    for name in names:
        for c in range(2):
            save(folder / "imagesTr" / f"{name}_000{c}.nii.gz", np.full((4, 4, 4), c, np.int16))
        save(folder / "labelsTr" / f"{name}.nii.gz", np.ones((4, 4, 4), np.uint8))
    content = {"channel_names": {"0": "T1", "1": "T2"}, "file_ending": ".nii.gz",
               "labels": {"background": 0, "all": 1}, "numTraining": 2}  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def describe(folder, **changes):
    """Change what ``dataset.json`` says."""
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


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


def test_a_channel_on_another_grid_is_resampled_onto_the_first_with_a_finding(tmp_path):
    make_nnunet(tmp_path)
    coarse = np.broadcast_to(np.arange(2, dtype=np.float32)[:, None, None], (2, 4, 4))
    affine = np.diag([2.0, 1, 1, 1])
    affine[0, 3] = 0.5  # the same box: edges meet edges
    save(tmp_path / "imagesTr" / "x0_0001.nii.gz", coarse, affine)
    dataset = open_dataset(tmp_path)
    volume, _ = read_case(dataset.cases[0], dataset.labels)
    np.testing.assert_allclose(volume.array[:, 0, 0, 1], [0, 0.25, 0.75, 1])
    (finding,) = (one for one in volume.findings if one.code == "channel-resampled")
    assert "4 x 4 x 4 and 2 x 4 x 4 voxels" in finding.words


def test_regions_come_as_labels_beside_the_plain_values(tmp_path):
    make_nnunet(tmp_path)
    describe(tmp_path, labels={"background": 0, "whole": [1, 2, 3], "core": [2, 3], "ring": 3,
                               "ignore": 4}, regions_class_order=[1, 2, 3])  # fmt: skip
    dataset = open_dataset(tmp_path)
    assert dataset.ignore == 4
    assert dataset.labels.values == (0, 1, 2, 3)
    regions = [(label.name, label.region) for label in dataset.labels if label.region]
    assert regions == [("whole", (1, 2, 3)), ("core", (2, 3)), ("ring", (3,))]


@pytest.mark.parametrize("order", [None, [1, 2], [1, 1, 3]])
def test_regions_without_their_order_are_refused(tmp_path, order):
    make_nnunet(tmp_path)
    describe(tmp_path, labels={"background": 0, "a": [1, 2], "b": [2, 3], "c": 3},
             regions_class_order=order)  # fmt: skip
    with pytest.raises(InputRefused, match="regions_class_order"):
        open_dataset(tmp_path)


def test_an_ignored_value_is_read_but_is_no_label(tmp_path):
    make_nnunet(tmp_path)
    describe(tmp_path, labels={"background": 0, "all": 1, "ignore": 2})
    truth = np.ones((4, 4, 4), np.uint8)
    truth[0] = 2
    save(tmp_path / "labelsTr" / "x0.nii.gz", truth)
    dataset = open_dataset(tmp_path)
    _, read = read_case(dataset.cases[0], dataset.labels, dataset.ignore)
    assert (read.array[0] == 2).all()
    assert read.labels == dataset.labels
    with pytest.raises(InputRefused, match="Case x0: The values 2 have no name"):
        read_case(dataset.cases[0], dataset.labels)


def test_cases_that_the_description_lists_itself_are_taken(tmp_path):
    make_nnunet(tmp_path)
    images = [f"imagesTr/x0_000{c}.nii.gz" for c in range(2)]
    describe(tmp_path, dataset={"mine": {"images": images, "label": "labelsTr/x0.nii.gz"}})
    assert [case.name for case in open_dataset(tmp_path).cases] == ["mine"]


@pytest.fixture
def divided(tmp_path):
    """Six cases of three patients, and a split that knows nothing of patients."""
    make_nnunet(tmp_path, names=["a_1", "a_2", "b_1", "b_2", "c_1", "c_2"])
    halves = {"train": ["a_1", "a_2", "b_1", "c_1"], "val": ["b_2", "c_2"]}
    (tmp_path / "splits_final.json").write_text(json.dumps([halves]))
    return tmp_path


def test_a_split_that_comes_with_the_data_is_used(divided):
    assert split(open_dataset(divided), 0).held_out == ("b_2", "c_2")
    with pytest.raises(PlanRefused, match="comes with 1"):
        split(open_dataset(divided), 1)


def test_a_split_that_divides_a_patient_is_refused(divided):
    dataset = open_dataset(divided, patient="^([^_]+)")
    with pytest.raises(InputRefused, match="Cases b_1 and b_2 are of one patient") as refusal:
        split(dataset, 0)
    assert refusal.value.code == "patient-divided"


def test_a_case_on_both_sides_of_a_split_is_refused(divided):
    both = [{"train": ["a_1"], "val": ["a_1"]}]
    (divided / "splits_final.json").write_text(json.dumps(both))
    with pytest.raises(InputRefused, match="a_1"):
        split(open_dataset(divided), 0)


@pytest.mark.parametrize("content", ["{", "[3]", '[{"train": ["a_1"], "val": ["nobody"]}]'])
def test_a_split_that_cannot_be_followed_is_refused(divided, content):
    (divided / "splits_final.json").write_text(content)
    with pytest.raises(InputRefused, match="split"):
        open_dataset(divided)


def test_the_folds_of_a_data_set_keep_patients_together(divided):
    (divided / "splits_final.json").unlink()
    dataset = open_dataset(divided, patient="^[abc]")
    folds = [split(dataset, n, folds=3) for n in range(3)]
    assert sorted(fold.held_out for fold in folds) == [("a_1", "a_2"), ("b_1", "b_2"),
                                                       ("c_1", "c_2")]  # fmt: skip


def test_a_case_without_a_patient_in_its_name_is_refused(divided):
    with pytest.raises(InputRefused, match="Case c_1: the pattern"):
        open_dataset(divided, patient="^[ab]")
    with pytest.raises(PlanRefused, match="no regular expression"):
        open_dataset(divided, patient="(")


@given(st.lists(st.integers(0, 12), min_size=5, max_size=40), st.integers(2, 4), st.integers(0, 99))
def test_folds_part_cases_by_patient(of, folds, seed):
    names = [f"c{n:02d}" for n in range(len(of))]
    patients = {name: f"p{one}" for name, one in zip(names, of, strict=True)}
    if len(set(of)) < folds:
        with pytest.raises(PlanRefused, match="patients"):
            fold_of(names, 0, folds, seed, patients)
        return
    parts = [fold_of(names, n, folds, seed, patients) for n in range(folds)]
    assert sorted(name for part in parts for name in part.held_out) == names
    for part in parts:
        sides = [{patients[name] for name in side} for side in (part.train, part.held_out)]
        assert not sides[0] & sides[1]
    counts = [len({patients[name] for name in part.held_out}) for part in parts]
    assert max(counts) - min(counts) <= 1


def test_folds_over_patients_are_those_of_scikit_learn():
    # KFold(3, shuffle=True, random_state=7).split of 7 patients, scikit-learn 1.9.1
    names = [f"p{n}_{k}" for n in range(7) for k in range(2)]
    patients = {name: name[:2] for name in names}
    order = np.random.RandomState(7).permutation(7)
    held = [sorted({name[:2] for name in fold_of(names, n, 3, 7, patients).held_out})
            for n in range(3)]  # fmt: skip
    assert held == [sorted(f"p{n}" for n in part) for part in np.array_split(order, 3)]


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
