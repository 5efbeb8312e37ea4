"""``medseg prepare`` as a person or a script meets it, and the training that follows."""

import json

import numpy as np
import pytest

from tests.datasets.test_dataset import make_msd, save
from tests.training.test_train import CONFIG


@pytest.fixture
def config(tmp_path):
    (tmp_path / "data").mkdir()
    make_msd(tmp_path / "data", cases=6)
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    return path


def spoil(config):
    save(config.parent / "data" / "labelsTr" / "case_1.nii.gz", np.full((6, 7, 8), 3, np.uint8))


def test_all_cases_are_prepared_once_and_the_size_is_said_before(medseg, config):
    status, told, err = medseg("prepare", config)
    assert status == 0
    assert "6 cases to prepare, about" in err
    assert "6 cases in" in " ".join(told.split())
    assert (config.parent / "tiny.store" / "case_0" / "image.npy").exists()
    _, told, err = medseg("prepare", config)
    assert "0 cases to prepare" in err
    assert "6 of them from before" in " ".join(told.split())


def test_bad_cases_are_listed_at_the_end_with_their_own_exit_status(medseg, config):
    spoil(config)
    status, told, _ = medseg("prepare", config, "--json")
    content = json.loads(told)
    assert (status, content["done"]) == (6, 5)
    assert [(one["case"], one["code"]) for one in content["refused"]] == [
        ("case_1", "labels-unknown")]  # fmt: skip
    status, told, _ = medseg("prepare", config, "--workers", 1)
    assert status == 6
    assert "Case case_1" in " ".join(told.split())


def test_a_store_of_another_plan_is_refused_with_what_differs(medseg, config):
    medseg("prepare", config)
    status, _, err = medseg("prepare", config, "--set", "plan.spacing=[2,1,1]")
    assert status == 2
    assert "store-differs" in err
    assert "spacing [1.0, 1.0, 1.0], now [2.0, 1.0, 1.0]" in err
    status, _, _ = medseg("prepare", config, "--set", "plan.spacing=[2,1,1]", "--overwrite")
    assert status == 0


def test_training_takes_the_store_and_leaves_it(config, medseg):
    from medseg.training import load_config, train

    store = config.parent / "run" / "prepared"  # where training keeps its own
    medseg("prepare", config, "--out", store)
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.npy")}
    told = [f"prepared={store}", "epochs=1", "steps=1"]
    package = train(load_config(config, told), config.parent / "run")
    assert "store" not in package.card.configuration  # where it lay is nobody else's business
    assert before == {path: path.stat().st_mtime_ns for path in store.rglob("*.npy")}


def test_training_without_bad_cases_only_if_asked(config):
    from medseg.errors import InputRefused
    from medseg.training import load_config, train

    spoil(config)
    told = ["epochs=1", "steps=1", "fold=all"]
    with pytest.raises(InputRefused, match="Case case_1"):
        train(load_config(config, told), config.parent / "run")
    train(load_config(config, [*told, "skip_refused=true"]), config.parent / "run")
