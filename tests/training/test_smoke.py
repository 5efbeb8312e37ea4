"""Learning itself: a training on phantoms that has to find the liver in ones it never saw."""

from pathlib import Path

from medseg.phantoms.dataset import write_dataset
from medseg.training import load_config, train

CONFIG = Path(__file__).parents[2] / "configs" / "phantom_liver.yaml"


def test_a_short_training_learns_the_liver_of_unseen_phantoms(tmp_path):
    write_dataset(tmp_path / "phantoms", cases=24, seed=1, structure="liver", coarser=2)
    config = load_config(CONFIG, data=tmp_path / "phantoms")
    package = train(config, tmp_path / "run")
    measured = package.card.results[0]
    assert "6 cases that training did not see" in measured.measured_on
    assert measured.figures["Dice, Liver"] >= 0.9
