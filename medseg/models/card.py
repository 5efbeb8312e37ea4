"""The model card: what a model is for, what it learned from and how well it did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from medseg.plan import Frozen

NOT_FOR_DIAGNOSIS = "Research use only: not a medical device, not for diagnosis or treatment."

Words = Annotated[str, Field(min_length=1)]


class Dataset(Frozen):
    """A data set a model was trained on, with what its licence asks to be said."""

    name: Words
    licence: Words
    attribution: Words
    cases: PositiveInt | None = None
    url: str = ""


class Measurement(Frozen):
    """Figures and what they were measured on.

    Attributes
    ----------
    measured_on : str
        Data, split and number of cases a reader needs to judge the figures:
        ``"fold 0 of 5, 52 cases that training did not see"``.
    figures : dict of float
        By a name with metric and structure: ``"Dice, anterior"``.
    intervals : dict of (float, float)
        At 95 %, of the figures that have one.
    """

    measured_on: Words
    figures: dict[Words, float] = Field(min_length=1)
    intervals: dict[Words, tuple[float, float]] = Field({})


class Card(Frozen):
    """What a person should know before using a model.

    Attributes
    ----------
    intended_use, modality, population : str
        What it segments and why, in which images, of whom.
    training_data : tuple of Dataset
        Everything that the weights learned from.
    results : tuple of Measurement
        Whole volumes on their own grid.
    limits : tuple of str
        Where it is known or expected to fail.
    configuration : str
        The training configuration as YAML.
    minutes : float or None
        That training took, on what ``trained_on`` says.
    fold : int or None
        Of the cross-validation; its cases were not trained on.
    training_extent_mm : (float, float, float) or None
        Median extent of the training images along the axes of the plan. A scan that reaches
        far beyond it shows what the model never saw.
    """

    intended_use: Words
    not_for: Words = NOT_FOR_DIAGNOSIS
    modality: Words
    population: str = ""
    training_data: tuple[Dataset, ...] = Field(min_length=1)
    results: tuple[Measurement, ...] = ()
    limits: tuple[Words, ...] = ()
    configuration: str = ""
    minutes: NonNegativeFloat | None = None
    trained_on: str = ""
    fold: NonNegativeInt | None = None
    training_extent_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None


def brief(card: Card) -> list[str]:
    """Return the lines to show before a first use: purpose, limits, sources, figures."""
    lines = [card.intended_use, card.not_for, f"Images: {card.modality}"]
    lines += [f"Trained on: {_cited(data)}" for data in card.training_data]
    for result in card.results:
        lines.append(f"{_figures(result)} ({result.measured_on})")
    lines += [f"Limit: {limit}" for limit in card.limits]
    return lines


def as_markdown(card: Card, title: str = "Model card") -> str:
    """Return the whole card as Markdown."""
    parts = [f"# {title}", card.intended_use, f"**{card.not_for}**"]
    parts += ["## Images", f"Modality: {card.modality}"]
    if card.population:
        parts.append(f"Population: {card.population}")
    if card.training_extent_mm is not None:
        size = " x ".join(f"{side:g}" for side in card.training_extent_mm)
        parts.append(f"Median extent of the training images: {size} mm")
    parts += ["## Training data", _listed(_cited(data) for data in card.training_data)]
    for result in card.results:
        parts += [f"## Results: {result.measured_on}", _table(result)]
    if card.limits:
        parts += ["## Limits", _listed(card.limits)]
    parts += _training(card)
    return "\n\n".join(parts) + "\n"


def _training(card: Card) -> list[str]:
    facts = []
    if card.minutes is not None:
        facts.append(f"Training took {card.minutes:.0f} minutes" + f" on {card.trained_on}" * bool(
            card.trained_on))  # fmt: skip
    if card.fold is not None:
        facts.append(f"Fold {card.fold} was left out of training")
    parts = [_listed(facts)] if facts else []
    if card.configuration:
        parts.append(f"```\n{card.configuration.strip()}\n```")
    return ["## Training", *parts] if parts else []


def _table(result: Measurement) -> str:
    rows = ["| figure | value | 95 % interval |", "| --- | --- | --- |"]
    for name, value in result.figures.items():
        rows.append(f"| {name} | {value:.4g} | {_between(result, name, '.4g') or '-'} |")
    return "\n".join(rows)


def _figures(result: Measurement) -> str:
    said = []
    for name, value in result.figures.items():
        between = _between(result, name, ".3g")
        said.append(f"{name} {value:.3g}" + f" (95 %: {between})" * bool(between))
    return "; ".join(said)


def _between(result: Measurement, name: str, digits: str) -> str:
    if name not in result.intervals:
        return ""
    low, high = result.intervals[name]
    return f"{low:{digits}} to {high:{digits}}"


def _cited(data: Dataset) -> str:
    cases = f", {data.cases} cases" if data.cases else ""
    where = f" {data.url}" if data.url else ""
    return f"{data.name}{cases}: {data.attribution}, {data.licence}{where}"


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
