"""Soft centre lines against SciPy's morphology, and the loss that they make."""

import numpy as np
import pytest
from scipy.ndimage import generate_binary_structure, grey_dilation, grey_erosion

from medseg.losses import loss
from medseg.losses.centreline import skeleton
from tests.losses.factory import make_pair, plain


def thinned(body, iterations):
    """Return the soft centre line of one channel (Shit et al. 2021, algorithm 1)."""
    cross, cube = generate_binary_structure(body.ndim, 1), (3,) * body.ndim

    def eroded(one):
        return grey_erosion(one, footprint=cross, mode="nearest")

    def lost(one):
        return np.maximum(one - grey_dilation(eroded(one), cube, mode="nearest"), 0)

    line = lost(body)
    for _ in range(iterations):
        body = eroded(body)
        line = line + (1 - line) * lost(body)
    return line


@pytest.mark.parametrize("shape", [(9, 11), (6, 9, 7)])
def test_the_centre_line_is_that_of_greyscale_morphology(shape):
    body = np.random.default_rng(0).random(shape).astype(np.float32)
    found = np.asarray(skeleton(body[np.newaxis, ..., np.newaxis], 3))[0, ..., 0]
    np.testing.assert_allclose(found, thinned(body, 3), atol=1e-5)


def test_a_thick_bar_is_thinned_to_its_middle():
    body = np.zeros((1, 9, 15, 1), np.float32)
    body[0, 2:7, 2:13] = 1
    line = np.asarray(skeleton(body, 3))[0, ..., 0]
    assert line[4, 5:10].all()
    assert not line[[2, 3, 5, 6], 6:9].any()


def test_it_agrees_with_its_formula():
    truth, logits = make_pair(shape=(2, 8, 9), ignored=0.1)
    hot, probability, known = plain(truth, logits)
    scores = []
    for sample in range(2):
        for number in (1, 2):
            t, p = ((a * known)[sample, :, number].reshape(8, 9) for a in (hot, probability))
            of_truth, of_predicted = thinned(t, 5), thinned(p, 5)
            precision = ((of_predicted * t).sum() + 1) / (of_predicted.sum() + 1)
            sensitivity = ((of_truth * p).sum() + 1) / (of_truth.sum() + 1)
            scores.append(2 * precision * sensitivity / (precision + sensitivity))
    found = float(loss("cldice")(truth, logits))
    assert found == pytest.approx(1 - np.mean(scores), abs=1e-5)


def test_a_gap_in_a_tube_costs_more_than_a_thinner_tube():
    truth = np.zeros((1, 20, 20, 1), np.int32)
    truth[0, 8:13] = 1
    thin, broken = truth.copy(), truth.copy()
    thin[0, [8, 12]] = 0
    broken[0, 8:13, 8:12] = 0
    costs = [float(loss("cldice")(truth, 20.0 * (one == np.arange(2)))) for one in (thin, broken)]
    assert costs[0] < 0.05 < costs[1]
