"""Losses as ordinary Keras losses on logits, named for configurations."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from medseg.errors import PlanRefused

if TYPE_CHECKING:
    import keras

LOSSES = {
    "cross_entropy": "medseg.losses.cross_entropy:CrossEntropy",
    "dice": "medseg.losses.dice:SoftDice",
    "dice_cross_entropy": "medseg.losses.dice:DiceCrossEntropy",
}


def loss(name: str) -> keras.losses.Loss:
    """Return a new loss by its name in ``LOSSES``.

    Raises
    ------
    PlanRefused
        ``loss-unknown``.
    """
    if name not in LOSSES:
        raise PlanRefused(
            "loss-unknown", f"There is no loss {name!r}", do=f"Use one of {sorted(LOSSES)}"
        )
    module, kind = LOSSES[name].split(":")
    return getattr(import_module(module), kind)()
