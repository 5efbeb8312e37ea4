"""Kinds of numbers that augmentations take, as a configuration checks them."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

Chance = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Number = TypeVar("Number", bound=float)


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError(f"the range begins at {span[0]:g}, above its end {span[1]:g}")
    return span


Span = Annotated[tuple[Number, Number], AfterValidator(_ordered)]
"""The two ends of a range that a number is drawn from evenly."""
