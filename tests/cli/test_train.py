"""What the options of ``medseg train`` ask for, and the schema of a config."""

import json
from pathlib import Path

import pytest
import yaml

from medseg.training import load_config
from tests.training.conftest import CONFIG


@pytest.fixture
def asked(monkeypatch):
    """Keep what the command asks for instead of training."""
    kept = {}

    def train(config, out, **options):
        kept.update(config=config, out=out, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr("medseg.training.train", train)
    return kept


def test_options_win_over_the_config(medseg, asked, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    options = {"--fold": 2, "--epochs": 7, "--patience": 3, "--time-budget": "1h30m", "--seed": 5,
               "--data": tmp_path / "other", "--set": "batch=4"}  # fmt: skip
    told = [str(word) for pair in options.items() for word in pair]
    status, _, err = medseg("train", path, "-o", tmp_path / "run", *told, "--resume")
    config = asked["config"]
    assert (config.fold, config.epochs, config.patience, config.seed) == (2, 7, 3, 5)
    assert (config.time_budget, config.batch, config.deterministic) == (90, 4, False)
    assert config.dataset == tmp_path / "other"
    assert config.split_seed == load_config(path).split_seed  # another seed keeps the folds
    assert asked["resume"]
    assert status == 130
    assert "--resume goes on from the last whole epoch" in err


def test_a_fold_may_be_all_and_a_training_repeatable(medseg, asked, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    medseg("train", path, "-o", tmp_path / "run", "--fold", "all", "--deterministic")
    assert asked["config"].fold == "all"
    assert asked["config"].deterministic


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--fold", "two", "--set fold: fold"),
        ("--epochs", "0", "--set epochs: Input should be greater than 0"),
        ("--time-budget", "soon", "'soon' is no span of time"),
        ("--set", "batchs=2", "batchs: there is no such key; did you mean batch?"),
    ],
)
def test_a_wrong_option_is_named(medseg, asked, tmp_path, option, value, words):
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    status, _, err = medseg("train", path, "-o", tmp_path / "run", option, value)
    assert status not in (0, 130)
    assert words in err
    assert not asked


def test_the_schema_knows_the_keys_of_a_config_and_no_others(medseg, tmp_path):
    status, out, _ = medseg("config-schema")
    assert status == 0
    schema = json.loads(out)
    assert set(yaml.safe_load(CONFIG)) < set(schema["properties"])
    assert {"time_budget", "patience", "deterministic"} < set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert "30m" in schema["properties"]["time_budget"]["anyOf"][0]["examples"]
    assert medseg("config-schema", "--out", tmp_path / "schema.json")[0] == 0
    assert json.loads((tmp_path / "schema.json").read_text()) == schema


def test_the_schema_beside_the_configs_is_that_of_this_medseg(medseg):
    kept = Path(__file__).parents[2] / "configs" / "training.schema.json"
    status, out, _ = medseg("config-schema")
    assert status == 0
    assert json.loads(kept.read_text()) == json.loads(out), "run make schema"
