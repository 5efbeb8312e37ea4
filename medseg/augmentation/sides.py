"""What mirroring does to labels: left and right change places, or an axis is not mirrored."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medseg.errors import PlanRefused
from medseg.findings import Finding
from medseg.labels import Label, LabelSet
from medseg.plan import Plan

Pair = tuple[int, int]
Side = Literal["left", "right"]
Pairs = Literal["auto", "none"] | tuple[Pair, ...]

_WORDS = re.compile(r"[a-z0-9]+")
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])")
_SIDES: dict[str, Side] = {
    **dict.fromkeys(("left", "l", "lt", "lh", "sinister", "sinistra", "sin"), "left"),
    **dict.fromkeys(("right", "r", "rt", "rh", "dexter", "dextra", "dex"), "right"),
}
_LETTERS = {"l", "r"}  # a side only where both occur: "Vertebra L" is lumbar
# bear a side's name, yet one is no mirror image of the other
_UNLIKE = {"atrium", "atria", "ventricle", "ventricles", "ventricular", "atrial", "coronary",
           "heart", "cardiac", "liver", "hepatic"}  # fmt: skip
_PAIRED_AFTER_ALL = {"lateral", "cerebral", "brain"}  # ventricles of the brain
_ENDS = {  # pairs of words that tell the two ends of an axis apart
    "A": (("anterior", "posterior"), ("ventral", "dorsal"), ("front", "back")),
    "S": (("superior", "inferior"), ("upper", "lower"), ("cranial", "caudal")),
}
_AXES = {"R": "left and right", "A": "front and back", "S": "top and bottom"}
_LETTER_OF = {"R": "R", "L": "R", "A": "A", "P": "A", "S": "S", "I": "S"}


@dataclass(frozen=True, slots=True)
class Mirroring:
    """On which axes a training may mirror, and what changes places then.

    Attributes
    ----------
    axes : tuple of int
    swap : tuple of (int, int)
        Values of labels that change places when left and right do.
    findings : tuple of Finding
        ``mirror-axis-dropped``: why an axis was left out.
    """

    axes: tuple[int, ...]
    swap: tuple[Pair, ...] = ()
    findings: tuple[Finding, ...] = ()


def mirroring(
    labels: LabelSet,
    orientation: str,
    axes: Collection[int] = (0, 1, 2),
    patch: Sequence[int] = (0, 0, 0),
    pairs: Pairs = "auto",
) -> Mirroring:
    """Return what mirroring may do with these labels.

    Left and right are mirrored where every label with a side has a partner on the other: their
    classes change places. Sides are told by ``laterality``, else by words of the name; partners
    have the same name but for the side, or the same codes. Front and back, top and bottom are
    not mirrored where labels tell them apart, since nothing there is alike but in name; nor are
    the chambers of the heart on the left and on the right.

    Parameters
    ----------
    labels : LabelSet
    orientation : str
        Of the plan.
    axes : collection of int
        That are wished for.
    patch : sequence of int, optional
        An axis one voxel long is left out without a finding.
    pairs : "auto", "none" or tuple of (int, int)
        Values that are a pair whatever their names; they count beside those recognised.
        ``"none"`` mirrors as told and swaps nothing, which is nnU-Net's way.

    Raises
    ------
    PlanRefused
        ``pairs-invalid``: a value is no plain label, or stands in two pairs.

    Examples
    --------
    >>> kidneys = LabelSet((Label(1, "Left kidney"), Label(2, "kidney_right")))
    >>> mirroring(kidneys, "RAS").swap
    ((1, 2),)
    >>> mirroring(LabelSet((Label(1, "Left kidney"),)), "RAS").axes
    (1, 2)
    """
    wished = tuple(sorted(axis for axis in set(axes) if patch[axis] != 1))
    if pairs == "none":
        return Mirroring(wished)
    declared = () if pairs == "auto" else _checked(pairs, labels)
    by_axis = {_LETTER_OF[letter]: axis for axis, letter in enumerate(orientation)}
    swap, why = _paired(labels, declared)
    reasons = {"R": why} | {axis: _told_apart(labels, axis) for axis in _ENDS}
    dropped = {by_axis[letter]: (letter, why) for letter, why in reasons.items() if why}
    findings = tuple(
        Finding("info", "mirror-axis-dropped", f"{_AXES[letter]} are not mirrored: {why}")
        for axis, (letter, why) in sorted(dropped.items())
        if axis in wished
    )
    kept = tuple(axis for axis in wished if axis not in dropped)
    return Mirroring(kept, swap if by_axis["R"] in kept else (), findings)


def side_axis(orientation: str) -> int:
    """Return the axis from right to left of a plan's orientation."""
    return next(axis for axis, letter in enumerate(orientation) if letter in "LR")


def class_pairs(plan: Plan) -> tuple[Pair, ...]:
    """Return the class numbers that change places when a patch is mirrored left and right."""
    number = plan.labels.values.index
    return tuple((number(one), number(other)) for one, other in plan.swap)


def _checked(pairs: tuple[Pair, ...], labels: LabelSet) -> tuple[Pair, ...]:
    values = [value for pair in pairs for value in pair]
    unknown = sorted(set(values) - {label.value for label in labels.plain})
    if unknown or len(set(values)) < len(values):
        found = f"{unknown[0]} is no label" if unknown else "a value stands in two pairs"
        told = ", ".join(f"{label.value} {label.name}" for label in labels.plain)
        raise PlanRefused("pairs-invalid", f"pairs: {found}", do=f"Pair values of {told}")
    return pairs


def _paired(labels: LabelSet, declared: tuple[Pair, ...]) -> tuple[tuple[Pair, ...], str]:
    """Return the pairs, and why left and right cannot be mirrored; empty where they can."""
    sides = _sides(labels)
    taken = {value for pair in declared for value in pair}
    swap = list(declared)
    for label in labels.plain:
        if label.value in taken or label.value not in sides:
            continue
        if _UNLIKE & set(words := _words(label.name)) and not _PAIRED_AFTER_ALL & set(words):
            return (), f"{label.name} has no mirror image on the other side"
        partners = _partners(label, labels, sides, taken)
        if len(partners) != 1:
            several = "no partner" if not partners else f"{len(partners)} partners"
            return (), f"{label.name} has a side and {several} on the other"
        swap.append((label.value, partners[0].value))
        taken |= {label.value, partners[0].value}
    return tuple(swap), _torn_region(labels, swap, sides)


def _torn_region(labels: LabelSet, swap: Sequence[Pair], sides: Mapping[int, Side]) -> str:
    """Return why swapping plain labels leaves no region in another's place, or nothing."""
    regions = {frozenset(label.region) for label in labels if label.region}
    other = swapped(swap)
    for label in labels:
        mirrored = frozenset(other.get(value, value) for value in label.region)
        if mirrored not in regions and label.region:
            return f"the region {label.name} would become none of the regions"
        if label.region and label.value in sides and mirrored == frozenset(label.region):
            return f"the region {label.name} has a side, its labels have none"
    return ""


def swapped(swap: Iterable[Pair]) -> dict[int, int]:
    """Return what each value of some pairs becomes."""
    return {one: other for a, b in swap for one, other in ((a, b), (b, a))}


def _partners(
    label: Label, labels: LabelSet, sides: Mapping[int, Side], taken: Collection[int]
) -> list[Label]:
    """Return the labels of the other side that are this one otherwise: by name, else by codes."""
    others = [one for one in labels.plain if one.value not in taken
              and sides.get(one.value, sides[label.value]) != sides[label.value]]  # fmt: skip
    by_name = [one for one in others if _stem(one) == _stem(label)]
    return by_name or [one for one in others if label.type and _codes(one) == _codes(label)]


def _sides(labels: LabelSet) -> dict[int, Side]:
    """Return the side of each label that has one."""
    words = {word for label in labels for word in _words(label.name)}
    unclear = set() if words >= _LETTERS else _LETTERS
    sides: dict[int, Side] = {}
    for label in labels:
        told = {_SIDES[word] for word in _words(label.name) if word in _SIDES and
                word not in unclear}  # fmt: skip
        if label.laterality in ("left", "right"):
            sides[label.value] = label.laterality
        elif label.laterality is None and len(told) == 1:
            sides[label.value] = told.pop()
    return sides


def _told_apart(labels: LabelSet, axis: str) -> str:
    words = {word for label in labels for word in _words(label.name)}
    words |= {word for label in labels for code in label.modifiers
              for word in _words(code.meaning)}  # fmt: skip
    for pair in _ENDS[axis]:
        if words >= set(pair):
            return f"labels tell {pair[0]} and {pair[1]} apart"
    return ""


def _words(name: str) -> list[str]:
    return _WORDS.findall(_CAPITAL.sub(" ", name).lower())


def _stem(label: Label) -> tuple[str, ...]:
    return tuple(sorted(word for word in _words(label.name) if word not in _SIDES))


def _codes(label: Label) -> tuple[object, ...]:
    coded = (label.category, label.type, *label.modifiers)
    return tuple(code and (code.value, code.scheme) for code in coded)
