"""What is done to a finished mask: steps as data, kept in a package with what they are worth."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from medseg.labels import LabelSet
from medseg.plan import Count, Frozen


class _OfLabel(Frozen):
    """A step for one label or region by its value, or for all foreground taken as one."""

    label: Count | None = None

    def words(self, labels: LabelSet) -> str:
        """Say what the step does to a label set's masks."""
        what = "all foreground" if self.label is None else labels[self.label].name
        return self._words(what)

    def _words(self, what: str) -> str:
        raise NotImplementedError


class LargestComponent(_OfLabel):
    """Keep the largest of the components, joined by 26 neighbours; the first of equal ones."""

    kind: Literal["largest_component"] = "largest_component"

    def _words(self, what: str) -> str:
        return f"keep the largest component of {what}"


class FillHoles(_OfLabel):
    """Fill background that is enclosed, with no way out over 6 neighbours."""

    kind: Literal["fill_holes"] = "fill_holes"

    def _words(self, what: str) -> str:
        return f"fill holes in {what}"


class MinimumVolume(_OfLabel):
    """Take away components, joined by 26 neighbours, of less volume."""

    kind: Literal["minimum_volume"] = "minimum_volume"
    ml: PositiveFloat

    def _words(self, what: str) -> str:
        return f"take away components of {what} below {self.ml:.3g} ml"


Step = Annotated[LargestComponent | FillHoles | MinimumVolume, Field(discriminator="kind")]


class Evidence(Frozen):
    """What a choice rests on: one candidate against what stood before it.

    Attributes
    ----------
    candidate, against : str
        In words; ``against`` is empty for what the comparison starts from.
    chosen : bool
        Whether it was taken.
    cases : int
        Held-out cases that counted.
    figures : dict of float
        Mean Dice of each label with the candidate, and their mean.
    gain, low, high : float or None
        Mean gain in Dice over the cases, and its interval at 95 % over resampled patients.
    """

    candidate: str
    against: str = ""
    chosen: bool
    cases: PositiveInt
    figures: dict[str, float]
    gain: float | None = None
    low: float | None = None
    high: float | None = None
