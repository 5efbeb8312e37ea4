"""The figures on the cards of the shipped models, measured anew on the patients they never saw."""

from pathlib import Path

import pytest

from medseg.inference import Segmenter
from medseg.training import load_config
from medseg.training.opening import dataset_of, fold_in
from medseg.training.validate import measurement, validate

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not DATA.is_dir(), reason="the shared scans (../shared/data) are not here"),
]


@pytest.mark.parametrize("config", ["hippocampus", "sarcoma_mr"])
def test_the_card_says_what_held_out_cases_show(config):
    config = load_config(ROOT / "configs" / f"{config}.yaml")
    segmenter, dataset = Segmenter.load(config.name), dataset_of(config)
    names = fold_in(dataset, config).held_out
    cases = [case for case in dataset.cases if case.name in names]
    (told,) = segmenter.package.card.results
    scores = validate(segmenter, cases, ignore=dataset.ignore)
    found = measurement(told.measured_on, scores, {case.name: case.patient for case in cases})
    assert found.figures == pytest.approx(told.figures, abs=0.002)
    assert told.intervals.keys() == found.intervals.keys()
    for name, interval in told.intervals.items():
        assert found.intervals[name] == pytest.approx(interval, abs=0.005)
