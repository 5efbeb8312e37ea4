"""Prepared cases on disk: exact enough, whole or absent, resumed, refused by name."""

import json
import shutil

import numpy as np
import pytest

from medseg.datasets import open_dataset, read_case
from medseg.datasets.store import needed, open_case, prepare_cases, store_cases
from medseg.errors import InputRefused, OutputFailed, PlanRefused
from medseg.preparing import prepare
from tests.datasets.test_dataset import make_msd, make_plan, save


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return make_msd(tmp_path / "data", cases=3)


def times(store):
    return {path: path.stat().st_mtime_ns for path in store.rglob("*.npy")}


def test_a_stored_case_is_what_preparing_gives_in_half_precision(data, tmp_path):
    dataset = open_dataset(data)
    plan = make_plan(dataset.labels, spacing=(2, 1, 1))
    stored = store_cases(dataset.cases, plan, tmp_path / "store")[1]
    volume, _ = read_case(dataset.cases[1], dataset.labels)
    image = prepare(volume, plan).array
    assert stored.image.dtype == np.float16
    assert stored.image.shape == image.shape == (3, 7, 8, 1)
    np.testing.assert_allclose(stored.image, image, rtol=2**-11, atol=1e-7)


def test_class_numbers_are_kept_and_where_they_are(data, tmp_path):
    dataset = open_dataset(data)
    stored = store_cases(dataset.cases, make_plan(dataset.labels), tmp_path / "store")[0]
    assert np.unique(stored.classes).tolist() == [0, 1]  # class 1 for value 5
    voxels = stored.foreground[1]
    np.testing.assert_array_equal(voxels, np.argwhere(stored.classes == 1))


def test_what_nobody_labelled_is_the_largest_class_number_and_no_foreground(data, tmp_path):
    truth = np.zeros((6, 7, 8), np.uint8)
    truth[0], truth[1] = 5, 9
    save(data / "labelsTr" / "case_0.nii.gz", truth)
    dataset = open_dataset(data)
    plan = make_plan(dataset.labels)
    stored = store_cases(dataset.cases[:1], plan, tmp_path / "store", ignore=9)[0]
    assert np.unique(stored.classes).tolist() == [0, 1, 255]
    assert sorted(stored.foreground) == [1]


def test_what_is_there_is_not_done_again_but_a_changed_file_is(data, tmp_path):
    dataset, store = open_dataset(data), tmp_path / "store"
    plan = make_plan(dataset.labels)
    assert prepare_cases(dataset.cases, plan, store).resumed == 0
    before = times(store)
    told = (store / "store.json").stat().st_mtime_ns
    assert prepare_cases(dataset.cases, plan, store).resumed == 3
    assert times(store) == before
    assert (store / "store.json").stat().st_mtime_ns == told  # it may lie where nobody may write
    save(data / "imagesTr" / "case_1.nii.gz", np.ones((6, 7, 8), np.float32))
    assert prepare_cases(dataset.cases, plan, store).resumed == 2
    assert {path.parent.name for path, when in times(store).items() if before[path] != when} == {
        "case_1"
    }


def test_several_workers_make_the_same_store(data, tmp_path):
    dataset = open_dataset(data)
    plan = make_plan(dataset.labels)
    one = store_cases(dataset.cases, plan, tmp_path / "one")
    two = store_cases(dataset.cases, plan, tmp_path / "two", workers=2)
    for left, right in zip(one, two, strict=True):
        assert left.name == right.name
        np.testing.assert_array_equal(left.image, right.image)


def test_a_plan_of_another_patch_uses_the_store_and_one_of_another_spacing_does_not(data, tmp_path):
    dataset, store = open_dataset(data), tmp_path / "store"
    prepare_cases(dataset.cases, make_plan(dataset.labels), store)
    other = make_plan(dataset.labels, patch=(2, 2, 2))
    assert prepare_cases(dataset.cases, other, store).resumed == 3
    plan = make_plan(dataset.labels, spacing=(2, 1, 1))
    before = times(store)
    with pytest.raises(PlanRefused) as refusal:
        prepare_cases(dataset.cases, plan, store)
    assert refusal.value.code == "store-differs"
    assert "spacing [1.0, 1.0, 1.0], now [2.0, 1.0, 1.0]" in str(refusal.value)
    assert times(store) == before
    assert prepare_cases(dataset.cases, plan, store, anew=True).resumed == 0
    assert open_case(store, "case_0").image.shape == (3, 7, 8, 1)


def spoil_corrupt(data):
    path = data / "imagesTr" / "case_1.nii.gz"
    path.write_bytes(path.read_bytes()[:200])


def spoil_value(data):
    save(data / "labelsTr" / "case_1.nii.gz", np.full((6, 7, 8), 3, np.uint8))


def spoil_nan(data):
    array = np.ones((6, 7, 8), np.float32)
    array[0, 0, :3] = np.nan
    save(data / "imagesTr" / "case_1.nii.gz", array)


def spoil_grid(data):
    save(data / "labelsTr" / "case_1.nii.gz", np.zeros((6, 7, 9), np.uint8))


BAD = [
    (spoil_corrupt, "cannot be read"),
    (spoil_value, "The values 3 have no name"),
    (spoil_nan, "3 of 336 voxels are NaN"),
    (spoil_grid, "6 x 7 x 8 and 6 x 7 x 9 voxels"),
]


@pytest.mark.parametrize(("spoil", "words"), BAD)
def test_a_bad_case_is_named_and_stops_no_other(data, tmp_path, spoil, words):
    spoil(data)
    dataset = open_dataset(data)
    prepared = prepare_cases(dataset.cases, make_plan(dataset.labels), tmp_path / "store")
    assert prepared.done == ("case_0", "case_2")
    assert str(prepared.refused["case_1"]).startswith("Case case_1: ")
    assert words in str(prepared.refused["case_1"])


def test_training_refuses_a_bad_case_unless_it_is_asked_to_go_on(data, tmp_path):
    spoil_nan(data)
    dataset = open_dataset(data)
    plan = make_plan(dataset.labels)
    with pytest.raises(InputRefused, match="Case case_1"):
        store_cases(dataset.cases, plan, tmp_path / "store")
    stored = store_cases(dataset.cases, plan, tmp_path / "store", skip_refused=True)
    assert [case.name for case in stored] == ["case_0", "case_2"]


def test_a_case_without_foreground_is_kept(data, tmp_path):
    save(data / "labelsTr" / "case_1.nii.gz", np.zeros((6, 7, 8), np.uint8))
    dataset = open_dataset(data)
    stored = store_cases(dataset.cases, make_plan(dataset.labels), tmp_path / "store")
    assert stored[1].foreground == {}


def test_the_size_is_known_before_anything_is_written(data, tmp_path):
    dataset, told = open_dataset(data), []
    plan = make_plan(dataset.labels)
    prepare_cases(dataset.cases, plan, tmp_path / "store", announce=told.append)
    arrays = [path for path in (tmp_path / "store").rglob("*.npy") if "fore" not in path.name]
    assert told[0].cases == 3
    assert told[0].bytes == sum(path.stat().st_size - 128 for path in arrays)  # a header each
    assert needed(dataset.cases, plan, tmp_path / "store").bytes == 0


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    data, tmp_path, monkeypatch
):
    dataset = open_dataset(data)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputFailed) as refusal:
        prepare_cases(dataset.cases, make_plan(dataset.labels), tmp_path / "store")
    assert refusal.value.code == "disk-too-small"
    assert not times(tmp_path / "store")


@pytest.mark.faults
def test_a_disk_that_fills_leaves_whole_cases_only(data, small_disk, monkeypatch):
    rng = np.random.default_rng(0)
    for n in range(3):
        save(data / "imagesTr" / f"case_{n}.nii.gz", rng.normal(size=(20, 20, 30)))
        save(data / "labelsTr" / f"case_{n}.nii.gz", np.ones((20, 20, 30), np.uint8) * 5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1 << 40}))
    dataset = open_dataset(data)
    with pytest.raises(OutputFailed, match=r"Case \w+: .*No space left"):
        prepare_cases(dataset.cases, make_plan(dataset.labels), small_disk / "store")
    for place in (small_disk / "store").iterdir():
        assert place.name == "store.json" or (place / "case.json").exists()


def test_the_name_of_a_case_does_not_lead_out_of_the_store(data, tmp_path):
    content = json.loads((data / "dataset.json").read_text())
    case = {"images": ["imagesTr/case_0.nii.gz"], "label": "labelsTr/case_0.nii.gz"}
    content |= {"file_ending": ".nii.gz", "channel_names": {"0": "MR"},
                "labels": {"background": 0, "Lump": 5}, "dataset": {"../../out": case}}  # fmt: skip
    del content["training"]
    (data / "dataset.json").write_text(json.dumps(content))
    dataset = open_dataset(data)
    store_cases(dataset.cases, make_plan(dataset.labels), tmp_path / "a" / "b" / "store")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["store"]
