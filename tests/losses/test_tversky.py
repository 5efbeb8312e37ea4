"""Tversky losses against their formulas."""

import numpy as np
import pytest

from medseg.losses import loss
from tests.losses.factory import CLASSES, REGIONS, make_pair, plain


@pytest.mark.parametrize("kind", [CLASSES, REGIONS])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("gamma", [None, 4 / 3, 0.5])
def test_it_agrees_with_its_formula(kind, batch, gamma):
    truth, logits = make_pair(kind, ignored=0.2)
    hot, p, known = plain(truth, logits)
    costs = []
    for sample in [slice(None)] if batch else range(len(hot)):
        for channel in range(1 if kind == CLASSES else 0, 3):
            t, q = ((a * known)[sample, ..., channel] for a in (hot, p))
            shared = (t * q).sum()
            index = shared / (shared + 0.2 * ((1 - t) * q).sum() + 0.9 * (t * (1 - q)).sum())
            costs.append((1 - index) ** (1 / gamma if gamma else 1))
    name, more = ("focal_tversky", {"gamma": gamma}) if gamma else ("tversky", {})
    found = float(loss(name, alpha=0.2, beta=0.9, batch=batch, **more)(truth, logits))
    assert found == pytest.approx(np.mean(costs), rel=1e-5)


def test_with_equal_weights_it_is_dice():
    truth, logits = make_pair()
    half = float(loss("tversky", alpha=0.5, beta=0.5)(truth, logits))
    assert half == pytest.approx(float(loss("dice")(truth, logits)), abs=1e-6)
