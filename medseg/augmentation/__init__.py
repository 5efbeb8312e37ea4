"""Augmentation: what is drawn from a random generator is apart from what is applied."""

from medseg.augmentation.recipe import Recipe, recipe

__all__ = ["Recipe", "recipe"]
