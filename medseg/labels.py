"""What the numbers in a label map mean: names, codes, sides, colours, regions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

from medseg.errors import InputRefused

Laterality = Literal["left", "right", "both"]


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept: value, coding scheme and plain English meaning (PS3.16).

    Compared by value and scheme in DICOM; the meaning is for people.
    """

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Label:
    """One structure of a label map.

    Attributes
    ----------
    value : int
        The number in the array; 0 is background and has no Label.
    name : str
        For people: ``"Left kidney"``.
    category, type : Code or None
        Segmented property category (CID 7150) and type; needed for DICOM export only.
    modifiers : tuple of Code
        Further modifiers of the type, such as Anterior. The side is not among them.
    laterality : {"left", "right", "both"} or None
        None for unpaired structures and where the side is unknown.
    colour : (int, int, int)
        sRGB, 0-255, for pictures and viewers.
    region : tuple of int
        Values whose union this label is; empty for an ordinary label.
    """

    value: int
    name: str
    category: Code | None = None
    type: Code | None = None
    modifiers: tuple[Code, ...] = ()
    laterality: Laterality | None = None
    colour: tuple[int, int, int] = (230, 75, 53)
    region: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels of one task, ordered by value, background left out.

    Raises
    ------
    InputRefused
        ``labels-invalid``: a value is 0 or negative, or a value or name comes twice.

    Examples
    --------
    >>> organs = LabelSet((Label(1, "Liver"), Label(4, "Spleen")))
    >>> [label.name for label in organs], organs[4].name, organs.classes
    (['Liver', 'Spleen'], 'Spleen', 3)
    """

    labels: tuple[Label, ...] = field(default=())

    def __post_init__(self) -> None:
        values = [label.value for label in self.labels]
        names = [label.name for label in self.labels]
        if min(values, default=1) < 1:
            raise InputRefused("labels-invalid", f"Label values must be above 0, not {values}")
        if len(set(values)) < len(values) or len(set(names)) < len(names):
            raise InputRefused("labels-invalid", f"A label value or name comes twice in {names}")
        object.__setattr__(self, "labels", tuple(sorted(self.labels, key=lambda one: one.value)))

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, value: int) -> Label:
        for label in self.labels:
            if label.value == value:
                return label
        raise KeyError(value)

    def chosen(self, only: Collection[int | str] | int | str) -> LabelSet:
        """Return the labels with these values or names, with the parts of chosen regions.

        A name is compared whole; its case counts only where labels differ in nothing else.
        All labels when ``only`` is empty.

        Raises
        ------
        InputRefused
            ``labels-missing``: there is no such label; lists those there are.

        Examples
        --------
        >>> organs = LabelSet((Label(1, "Liver"), Label(4, "Spleen"), Label(5, "GTV")))
        >>> [label.name for label in organs.chosen(["gtv", 1])]
        ['Liver', 'GTV']
        """
        wanted = (only,) if isinstance(only, int | str) else only
        found = [label for one in wanted for label in self._called(one)]
        kept = {value for label in found for value in (label.value, *label.region)}
        return LabelSet(tuple(label for label in self if label.value in kept)) if found else self

    def _called(self, one: int | str) -> list[Label]:
        named = [label for label in self if one in (label.value, label.name)]
        if not named and isinstance(one, str):
            named = [label for label in self if label.name.lower() == one.lower()]
        if not named:
            there = ", ".join(f"{label.value} {label.name}" for label in self) or "none"
            raise InputRefused("labels-missing", f"There is no label {one!r}",
                               do=f"Choose among {there}")  # fmt: skip
        return named

    @property
    def plain(self) -> tuple[Label, ...]:
        """The labels that are no regions: those a network has a class for."""
        return tuple(label for label in self.labels if not label.region)

    @property
    def regions(self) -> tuple[Label, ...]:
        """The regions, those of more values first, else by value: the order of painting."""
        return tuple(sorted((label for label in self.labels if label.region),
                            key=lambda label: -len(set(label.region))))  # fmt: skip

    def painted(self) -> tuple[int, ...]:
        """Return the value that each of :attr:`regions` paints, a later one over an earlier.

        It is the one value of a region that no later region holds.

        Raises
        ------
        InputRefused
            ``regions-invalid``: there are none, one has no value or several of its own, or a
            plain label is in none.

        Examples
        --------
        >>> tumour = LabelSet((Label(1, "Oedema"), Label(2, "Core"),
        ...                    Label(3, "Whole", region=(1, 2)), Label(4, "Inner", region=(2,))))
        >>> [label.name for label in tumour.regions], tumour.painted()
        (['Whole', 'Inner'], (1, 2))
        """
        values: list[int] = []
        covered = set[int]()
        for label in reversed(self.regions):
            own = set(label.region) - covered
            covered |= own
            if len(own) != 1:
                raise _region_refused(label, own)
            values += own
        plain = {label.value for label in self.plain}
        if not values or covered != plain:
            told = ", ".join(map(str, sorted(covered ^ plain))) or "none"
            raise InputRefused(
                "regions-invalid",
                f"Regions and plain labels must have the same values; these are not shared: {told}",
                do="Name every value that a region has as a plain label, and put each in a region",
            )
        return tuple(reversed(values))

    @property
    def classes(self) -> int:
        """Channels of a network's output: the plain labels and background."""
        return len(self.plain) + 1

    @property
    def values(self) -> tuple[int, ...]:
        """Array value of each class, background first: class 0 has value 0."""
        return (0, *(label.value for label in self.plain))


def _region_refused(label: Label, own: set[int]) -> InputRefused:
    told = ", ".join(map(str, sorted(own)))
    return InputRefused(
        "regions-invalid",
        f"The region {label.name} has the values {told} for itself" if own
        else f"The region {label.name} has no value that later ones lack",
        do="Regions are painted over one another, larger first: give regions so that each keeps "
        "exactly one value that no later one has",
    )  # fmt: skip
