import json
from importlib import import_module

import pytest

from medseg.models import listed


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Let another, empty folder be that of the shipped models."""
    home = tmp_path / "shipped"
    home.mkdir()
    for room in ("shipped", "listing"):
        monkeypatch.setattr(import_module(f"medseg.models.{room}"), "home", lambda: home)
    return home


@pytest.fixture
def harmed(packed):
    """Write a package and change a bit of its weights."""

    def write(name, **changes):
        path = packed(name, **changes).path
        weights = path / "weights.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        return path

    return write


def test_no_model_is_said(medseg):
    status, out, _ = medseg("models")
    assert status == 0
    assert "No model came with this installation" in out


def test_shipped_models_are_listed_with_the_brief_of_their_cards(medseg, packed):
    packed("shipped/hippocampus", name="hippocampus")
    status, out, _ = medseg("models")
    assert status == 0
    assert "hippocampus 1.0 (comes with medseg)" in out
    assert "Outlines nothing, for tests." in out
    assert "not for diagnosis" in out
    assert "Limit: Fails on everything." in out


def test_a_folder_is_a_package_or_holds_some(medseg, packed, tmp_path):
    alone = packed("alone", name="alone").path
    (tmp_path / "runs" / "second").mkdir(parents=True)
    packed("runs/first", name="first")
    packed("runs/second/model", name="second")
    names = [entry.name for entry in listed([alone, tmp_path / "runs"])]
    assert names == ["alone", "first", "second"]
    status, out, _ = medseg("models", alone, tmp_path / "runs")
    assert status == 0
    told = " ".join(out.split())  # a long path goes to a line of its own
    assert [told.count(f"{name} 1.0 (") for name in names] == [1, 1, 1]


def test_a_broken_model_is_marked_with_the_reason_and_the_others_shown(
    medseg, packed, harmed, tmp_path
):
    (tmp_path / "runs").mkdir()
    harmed("runs/harmed")
    packed("runs/whole", name="whole")
    status, out, _ = medseg("models", tmp_path / "runs")
    assert status == 0
    assert "harmed: broken" in out
    assert "weights.safetensors is not the file that was packed" in out
    assert "whole 1.0" in out


@pytest.mark.parametrize("place", ["harmed", "absent", "empty"])
def test_a_broken_model_that_was_asked_for_ends_with_4(medseg, harmed, tmp_path, place):
    harmed("harmed")
    (tmp_path / "empty").mkdir()
    status, out, _ = medseg("models", tmp_path / place)
    assert status == 4
    assert f"{place}: broken" in out


def test_a_card_is_printed_whole_as_markdown(medseg, packed, tmp_path):
    packed("shipped/hippocampus", name="hippocampus")
    status, out, _ = medseg("models", "--card", "hippocampus")
    assert status == 0
    assert out.startswith("# hippocampus 1.0\n\n")
    assert "| Dice, Anterior | 0.8765 |" in out
    packed("mine", name="own")
    for arguments in (("--card", tmp_path / "mine"), (tmp_path / "mine", "--card", "own")):
        assert medseg("models", *arguments)[1].startswith("# own 1.0")


def test_the_card_of_a_broken_or_unknown_model_ends_with_4(medseg, harmed):
    harmed("shipped/hippocampus")
    for name, code in (("hippocampus", "package-damaged"), ("unheard-of", "model-unknown")):
        status, out, err = medseg("models", "--card", name)
        assert status == 4
        assert out == ""
        assert f"[{code}]" in err


def test_json_is_one_object_broken_ones_included(medseg, packed, harmed, tmp_path):
    package = packed("shipped/whole", name="whole")
    status, out, _ = medseg("models", harmed("harmed"), "--json")
    told = json.loads(out)
    assert told["status"] == status == 4
    whole, broken = told["models"]
    assert (whole["name"], whole["shipped"], whole["hash"]) == ("whole", True, package.hash)
    assert whole["card"]["intended_use"] == "Outlines nothing, for tests."
    assert broken["broken"]["code"] == "package-damaged"
    card = json.loads(medseg("models", "--card", "whole", "--json")[1])["card"]
    assert card == whole["card"]
