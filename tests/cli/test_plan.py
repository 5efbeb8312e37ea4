"""``medseg plan`` as a person or a script meets it."""

import json

import pytest

from medseg.training import load_config
from tests.datasets.test_dataset import make_msd


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return make_msd(tmp_path / "data", cases=6)


@pytest.fixture
def on_this_machine(monkeypatch):
    """Pretend to have measured two cores, which would take half a minute."""
    from medseg.planning import planned
    from medseg.planning.speed import Speed

    monkeypatch.setattr(planned, "measure", lambda *_, **__: Speed(107e9, 60e9))


def test_the_config_that_is_written_is_what_training_reads(medseg, data, tmp_path):
    out = tmp_path / "configs" / "mine.yaml"
    status, told, _ = medseg("plan", data, "--vram", 8, "--out", out)
    assert status == 0
    config = load_config(out)
    assert config.dataset.resolve() == data.resolve()
    assert config.plan.patch == (8, 8, 8)
    assert "hours unknown" in told or "measured" in told
    assert "# the median of all cases" in out.read_text()


def test_the_table_says_what_why_and_what_it_costs(medseg, data, on_this_machine):
    status, told, _ = medseg("plan", data, "--for", "cpu")
    assert status == 0
    for words in ("Made up", "Lump", "plan.spacing", "the median of all", "zscore", "RAM",
                  "disk while training", "hours", "a median scan",
                  "Nothing is written"):  # fmt: skip
        assert words in told, words


def test_json_holds_everything(medseg, data, on_this_machine):
    _, told, _ = medseg("plan", data, "--for", "cpu", "--hours", 1, "--json")
    content = json.loads(told)
    assert content["config"]["plan"]["patch"] == [8, 8, 8]
    assert content["cost"]["hours"] <= 1
    assert len(content["fingerprint"]["cases"]) == 6
    assert {choice["key"] for choice in content["choices"]} >= {"plan.patch", "batch"}


def test_values_that_are_set_stay_and_change_the_cost(medseg, data, on_this_machine):
    def planned(*extra):
        return json.loads(medseg("plan", data, "--for", "cpu", "--json", *extra)[1])

    once = planned("--set", "epochs=10", "--set", "plan.patch=[8,8,16]", "--set", "batch=3")
    twice = planned("--set", "epochs=20", "--set", "plan.patch=[8,8,16]", "--set", "batch=3")
    assert once["config"]["plan"]["patch"] == [8, 8, 16]
    assert once["config"]["batch"] == 3
    assert twice["cost"]["hours"] == pytest.approx(2 * once["cost"]["hours"])


@pytest.mark.parametrize(
    ("told", "key", "shown"),
    [
        ("epochs=26", "epochs", "26 x 100 steps"),
        ("steps=7", "epochs", " x 7 steps"),
        ("time_budget=30m", "epochs", "as many as 30 minutes allow"),
        ("optimizer={name: sgd, rate: 0.01}", "optimizer", "sgd"),
        ("plan.mirror_axes=[0]", "plan.mirror_axes", "S"),
        ("plan.kernels=null", "plan.kernels", "3 x 3 x 3 everywhere"),
        ("plan.patch=[8,8,16]", "plan.patch", "8 x 8 x 16"),
    ],
)
def test_what_is_set_is_told_in_the_place_of_what_was_planned(
    medseg, data, on_this_machine, tmp_path, told, key, shown
):
    out = tmp_path / "mine.yaml"
    planned = json.loads(
        medseg("plan", data, "--for", "cpu", "--json", "--set", told, "-o", out)[1]
    )
    [choice] = [one for one in planned["choices"] if one["key"] == key]
    assert choice["value"].endswith(shown)
    assert choice["why"] == "as you set it"
    assert "hours of this machine allow" not in out.read_text() or key != "epochs"


def test_a_time_budget_is_what_training_costs(medseg, data, on_this_machine):
    planned = json.loads(
        medseg("plan", data, "--for", "cpu", "--json", "--set", "time_budget=30m")[1]
    )
    assert planned["cost"]["hours"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--for", "cpu", "--vram", 8], "not for a CPU"),
        (["--for", "gpu", "--seconds-per-scan", 9], "add --for cpu"),
        (["--vram", 8, "--set", "plan.pitch=3"], "pitch"),
        (["--vram", 8, "--set", "plan.patch=[9,9,9]"], "Take"),
        (["--vram", 8, "--set", "plan.patch=[a]"], "patch"),
        (["--vram", 8, "--set", "plan.network=vnet"], "costs of vnet are not known"),
        (["--vram", 8, "--set", "oops"], "key.inner=value"),
        (["--vram", 1.1, "--preset", "resenc-xl"], "Not even a patch"),
    ],
)
def test_what_cannot_be_planned_is_one_clear_line(medseg, data, arguments, words):
    status, out, err = medseg("plan", data, *arguments)
    assert (status, out) == (2, "")
    assert words in err


def test_no_data_set_is_refused(medseg, tmp_path):
    status, _, err = medseg("plan", tmp_path, "--vram", 8)
    assert status == 3
    assert "dataset-unknown" in err
