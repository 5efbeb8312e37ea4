"""Augmentation: what is drawn from a random generator is apart from what is applied."""

from medseg.augmentation.configured import RECIPES, STEPS, recipe
from medseg.augmentation.frame import Frame
from medseg.augmentation.recipe import Recipe

__all__ = ["RECIPES", "STEPS", "Frame", "Recipe", "recipe"]
