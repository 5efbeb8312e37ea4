"""Several networks in one package."""

import json

import numpy as np
import pytest

from medseg.errors import ModelRefused
from medseg.labels import Label, LabelSet
from medseg.models import (
    Evidence,
    LargestComponent,
    MinimumVolume,
    ModelPackage,
    ensembled,
    member,
)
from medseg.plan import Channel


@pytest.fixture
def fold(packed, weights):
    """Write a package whose weights differ by a number."""

    def write(number, **changes):
        moved = {path: array + number for path, array in weights.items()}
        return packed(f"fold{number}", **{"weights": moved, **changes})

    return write


@pytest.mark.parametrize("name", ["both", "both.zip"])
def test_an_ensemble_holds_every_network_with_its_own_weights_and_plan(
    fold, plan, weights, tmp_path, name
):
    coarse = plan.model_copy(update={"spacing": (2, 2, 2)})
    made = ensembled([fold(1), fold(2), fold(3, plan=coarse)], tmp_path / name, name="both")
    opened = ModelPackage.open(tmp_path / name)
    assert opened.hash == made.hash
    assert [one.plan for one in opened.networks] == [plan, plan, coarse]
    assert len({one.hash for one in opened.networks}) == 3  # converted graphs are kept by it
    for number, network in enumerate(opened.networks, 1):
        expected = (weights["stem/kernel"] + number).astype(np.float16)
        np.testing.assert_array_equal(network.weights()["stem/kernel"], expected)


def test_a_package_of_one_network_is_as_it_always_was(fold):
    one = fold(1)
    record = json.loads((one.path / "model.json").read_text())
    assert set(record) == {"format", "name", "version", "plan", "card", "files", "weights"}
    assert one.networks == (one,)


def test_each_file_of_an_ensemble_is_checked(fold, tmp_path):
    ensembled([fold(1), fold(2)], tmp_path / "both")
    path = tmp_path / "both" / "weights-2.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(ModelRefused, match="weights-2") as refusal:
        ModelPackage.open(tmp_path / "both")
    assert refusal.value.code == "package-damaged"
    path.unlink()
    with pytest.raises(ModelRefused, match="lacks weights-2"):
        ModelPackage.open(tmp_path / "both")


def test_an_ensemble_of_ensembles_holds_all_their_networks(fold, tmp_path):
    pair = ensembled([fold(1), fold(2)], tmp_path / "pair")
    assert len(ensembled([pair, fold(3)], tmp_path / "all").networks) == 3
    with pytest.raises(ModelRefused, match="Networks 1 and 3 of 3") as refusal:
        ensembled([pair, fold(1)], tmp_path / "twice")
    assert refusal.value.code == "ensemble-repeated"


def test_networks_for_other_labels_or_channels_are_refused(fold, plan, tmp_path):
    other = plan.model_copy(update={"labels": LabelSet((Label(1, "Anterior"),))})
    with pytest.raises(ModelRefused, match="network 2 of the ensemble has other labels"):
        ensembled([fold(1), fold(2, plan=other)], tmp_path / "both")
    other = plan.model_copy(update={"channels": (Channel(name="T2"),)})
    with pytest.raises(ModelRefused, match="network 2 of the ensemble wants other channels"):
        ensembled([fold(1), fold(2, plan=other)], tmp_path / "both")
    with pytest.raises(ModelRefused, match="one package at least"):
        ensembled([], tmp_path / "none")


def test_the_card_tells_what_each_was_measured_at_and_that_the_average_was_not(fold, tmp_path):
    card = ensembled([fold(1), fold(2)], tmp_path / "both").card
    assert [one.measured_on for one in card.results] == [
        "tiny, part 1 of 2 alone: fold 0, 2 cases",
        "tiny, part 2 of 2 alone: fold 0, 2 cases",
    ]
    assert card.minutes == 24
    assert card.fold is None
    assert len(card.training_data) == 1
    assert "The average itself was not measured" in card.limits[-1]


def test_post_processing_is_kept_where_all_members_have_the_same(fold, tmp_path):
    steps = (LargestComponent(label=1), MinimumVolume(ml=0.1))
    one, two = fold(1, postprocessing=steps), fold(2, postprocessing=steps)
    assert one.postprocessing == ModelPackage.open(one.path).postprocessing == steps
    assert ensembled([one, two], tmp_path / "same").postprocessing == steps
    assert ensembled([one, fold(3)], tmp_path / "differ").postprocessing == ()


def test_a_step_for_a_label_that_is_not_there_is_refused(fold):
    with pytest.raises(ModelRefused, match="names the label 2"):
        fold(1, postprocessing=[LargestComponent(label=2)])


def test_evidence_comes_back(fold):
    told = Evidence(candidate="keep it", chosen=True, cases=3, figures={"Dice, A": 0.5},
                    gain=0.1, low=0.05, high=0.2)  # fmt: skip
    assert ModelPackage.open(fold(1, evidence=[told]).path).evidence == (told,)


def test_the_model_of_a_training_is_found_in_its_folder(packed, tmp_path):
    (tmp_path / "run").mkdir()
    made = packed("run/model")
    assert member(tmp_path / "run").hash == member(tmp_path / "run" / "model").hash == made.hash
