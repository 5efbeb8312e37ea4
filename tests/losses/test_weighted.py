"""A sum of losses is the sum of the losses."""

import pytest

from medseg.errors import PlanRefused
from medseg.losses import loss
from tests.losses.factory import make_pair


def test_each_part_counts_with_its_weight():
    truth, logits = make_pair()
    parts = [{"name": "tversky", "alpha": 0.1, "weight": 2}, {"name": "dice", "batch": True}]
    expected = 2 * float(loss("tversky", alpha=0.1)(truth, logits)) + float(
        loss("dice", batch=True)(truth, logits)
    )
    assert float(loss("sum", of=parts)(truth, logits)) == pytest.approx(expected, rel=1e-6)


def test_an_unknown_part_is_refused():
    with pytest.raises(PlanRefused, match="no loss 'hinge'"):
        loss("sum", of=[{"name": "hinge"}])
