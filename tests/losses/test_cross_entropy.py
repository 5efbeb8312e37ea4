"""Cross-entropies against their formulas."""

import numpy as np
import pytest

from medseg.losses import loss
from tests.losses.factory import CLASSES, REGIONS, make_pair, plain

kinds = pytest.mark.parametrize("kind", [CLASSES, REGIONS])


def right(kind, truth, logits):
    """Return the probability of the truth, ``(B, N, K)``, and which of it is known."""
    hot, p, known = plain(truth, logits)
    if kind == CLASSES:
        return (hot * p).sum(axis=-1, keepdims=True) + ~known, known
    return np.where(hot == 1, p, 1 - p), known


@kinds
def test_cross_entropy_is_the_mean_over_known_voxels(kind):
    truth, logits = make_pair(kind, ignored=0.2)
    p, known = right(kind, truth, logits)
    expected = -np.log(p)[known].mean()
    assert float(loss("cross_entropy")(truth, logits)) == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_serves_classifiers():
    # two samples of two classes: probabilities of the truth 1/2 and 1 / (1 + 1/e)
    found = float(loss("cross_entropy")(np.array([[0], [1]]), np.array([[3.0, 3.0], [0.0, 1.0]])))
    assert found == pytest.approx((np.log(2) + np.log(1 + np.exp(-1))) / 2, rel=1e-6)


@kinds
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_agrees_with_its_formula(kind, gamma):
    truth, logits = make_pair(kind, ignored=0.2)
    p, known = right(kind, truth, logits)
    expected = (-((1 - p) ** gamma) * np.log(p))[known].mean()
    assert float(loss("focal", gamma=gamma)(truth, logits)) == pytest.approx(expected, rel=1e-4)


@kinds
def test_focal_weighs_classes_by_alpha(kind):
    truth, logits = make_pair(kind)
    p, _ = right(kind, truth, logits)
    alpha = np.array([0.1, 0.3, 0.9])
    hot = plain(truth, logits)[0]
    if kind == CLASSES:
        weight = (hot * alpha).sum(axis=-1, keepdims=True)
    else:
        weight = np.where(hot == 1, alpha, 1 - alpha)
    expected = (-weight * (1 - p) ** 2 * np.log(p)).mean()
    found = float(loss("focal", alpha=alpha)(truth, logits))
    assert found == pytest.approx(expected, rel=1e-4)


def test_focal_refuses_another_number_of_weights_than_of_classes():
    truth, logits = make_pair()
    with pytest.raises(ValueError, match="alpha needs 3 entries"):
        loss("focal", alpha=[1, 2])(truth, logits)


@kinds
@pytest.mark.parametrize("share", [0.001, 0.1, 0.7, 1.0])
def test_top_k_is_the_mean_of_the_hardest_voxels_of_each_sample(kind, share):
    truth, logits = make_pair(kind)
    truth[0, 2:] = -1
    p, known = right(kind, truth, logits)
    expected = []
    for sample, there in zip(p, np.broadcast_to(known, p.shape), strict=True):
        entropy = np.sort(-np.log(sample[there]))
        expected.append(entropy[-max(1, round(share * entropy.size)) :].mean())
    found = float(loss("top_k_cross_entropy", share=share)(truth, logits))
    assert found == pytest.approx(np.mean(expected), rel=1e-5)
