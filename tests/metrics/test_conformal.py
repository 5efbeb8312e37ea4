"""Prediction sets cover as they promise: on simulated cases, whatever the model."""

import numpy as np
import pytest
from scipy.special import softmax

from medseg.metrics.conformal import conformal_threshold, prediction_sets


def simulated(rng: np.random.Generator, cases: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of a model that is too sure (or not sure enough), and the truth."""
    labels = rng.integers(0, 3, cases)
    logits = rng.normal(size=(cases, 3)) + 1.2 * np.eye(3)[labels]
    return softmax(scale * logits, axis=1), labels


@pytest.mark.parametrize("scale", [0.2, 1, 10])
def test_sets_cover_nine_of_ten_however_wrong_the_probabilities(scale):
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(50):
        threshold = conformal_threshold(*simulated(rng, 200, scale), alpha=0.1)
        probabilities, labels = simulated(rng, 1000, scale)
        sets = prediction_sets(probabilities, threshold)
        covered.append(sets[np.arange(len(labels)), labels].mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)
    assert np.percentile(covered, 2.5) > 0.84  # of one fit of 200 cases


@pytest.mark.parametrize(("cases", "alpha"), [(9, 0.1), (19, 0.1), (20, 0.25), (33, 0.07)])
def test_coverage_is_at_least_the_promise_for_few_cases_and_hardly_more(cases, alpha):
    # exact: the true probability of a new case ranks evenly among those of the others
    rng = np.random.default_rng(2)
    sure = rng.permutation(np.linspace(0.3, 0.9, cases + 1))
    covered = 0
    for new in range(cases + 1):
        held = np.delete(sure, new)
        threshold = conformal_threshold(
            np.stack([held, 1 - held], axis=1), np.zeros(cases, int), alpha
        )
        covered += prediction_sets(np.array([[sure[new], 1 - sure[new]]]), threshold)[0, 0]
    assert 1 - alpha <= covered / (cases + 1) + 1e-9
    assert covered / (cases + 1) < 1 - alpha + 1 / (cases + 1)


def test_too_few_cases_give_sets_of_every_class():
    sure = np.full((8, 2), 0.5)
    assert conformal_threshold(sure, np.zeros(8, int), 0.1) == 0
    assert conformal_threshold(np.zeros((0, 2)), np.zeros(0, int)) == 0
    assert prediction_sets(np.array([[1.0, 0.0]]), 0.0).all()


def test_a_set_can_be_one_class_several_or_none():
    sets = prediction_sets(np.array([[0.8, 0.1, 0.1], [0.45, 0.45, 0.1], [0.34, 0.33, 0.33]]), 0.4)
    assert sets.sum(axis=1).tolist() == [1, 2, 0]


def test_what_does_not_fit_is_refused():
    sure = np.full((2, 2), 0.5)
    for labels, alpha, words in (
        (np.zeros(3, int), 0.1, "labels of"), (np.array([0, 2]), 0.1, "the 2 classes"),
        (np.zeros(2, int), 1.5, "alpha"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            conformal_threshold(sure, labels, alpha)
    with pytest.raises(ValueError, match="nan"):
        conformal_threshold(sure * np.nan, np.zeros(2, int))
