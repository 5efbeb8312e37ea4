"""The table of losses: a name and the class that computes it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medseg.errors import PlanRefused

if TYPE_CHECKING:
    import keras

LOSSES = {
    "boundary": "medseg.losses.boundary:Boundary",
    "cldice": "medseg.losses.centreline:CentrelineDice",
    "cross_entropy": "medseg.losses.cross_entropy:CrossEntropy",
    "dice": "medseg.losses.dice:SoftDice",
    "dice_cross_entropy": "medseg.losses.dice:DiceCrossEntropy",
    "focal": "medseg.losses.cross_entropy:Focal",
    "focal_tversky": "medseg.losses.tversky:FocalTversky",
    "generalized_dice": "medseg.losses.dice:GeneralizedDice",
    "sum": "medseg.losses.weighted:WeightedSum",
    "top_k_cross_entropy": "medseg.losses.cross_entropy:TopKCrossEntropy",
    "tversky": "medseg.losses.tversky:Tversky",
}


def loss(name: str, **arguments: Any) -> keras.losses.Loss:
    """Return a new loss by its name in ``LOSSES``.

    Each takes classes that exclude each other or regions that overlap, told apart by shape: see
    :func:`medseg.losses.comparison.compared`. Each computes in float32.

    Parameters
    ----------
    name : str
        Such as ``"dice_cross_entropy"``.
    **arguments
        Plain keyword arguments of that loss.

    Raises
    ------
    PlanRefused
        ``loss-unknown``: no such name. ``loss-invalid``: arguments do not fit.
    """
    if name not in LOSSES:
        raise PlanRefused(
            "loss-unknown", f"There is no loss {name!r}", do=f"Use one of {sorted(LOSSES)}"
        )
    module, kind = LOSSES[name].split(":")
    try:
        return getattr(import_module(module), kind)(**arguments)
    except (TypeError, ValueError) as error:
        raise PlanRefused("loss-invalid", f"{name} cannot be built: {error}") from error
