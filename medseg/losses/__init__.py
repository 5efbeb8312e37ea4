"""Losses as ordinary Keras losses on logits, named for configurations."""

from medseg.losses.build import LOSSES, loss

__all__ = ["LOSSES", "loss"]
