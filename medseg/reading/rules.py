"""Rules that choose among series: ``modality=CT,thickness<=3``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from medseg.errors import InputRefused
from medseg.reading.series import Series

_PLANES = {
    "R": "sagittal",
    "L": "sagittal",
    "A": "coronal",
    "P": "coronal",
    "S": "axial",
    "I": "axial",
}
_CLOSE_MM = 0.01  # thickness=3 also means 2.999


@dataclass(frozen=True, slots=True)
class Condition:
    """One part of a rule: a key, a comparison and a value."""

    key: str
    comparison: str
    value: str

    def __call__(self, series: Series) -> bool:
        """Return whether a series meets this condition."""
        return _KEYS[self.key](series, self)


def parse_rule(rule: str) -> tuple[Condition, ...]:
    """Return the conditions of a rule, all of which must hold.

    Keys are modality, description (shell pattern, case does not matter), orientation (axial,
    coronal or sagittal), number, thickness (also with ``<=`` and ``>=``, in mm) and case.

    Raises
    ------
    InputRefused
        ``rule-invalid``: names what is wrong and the keys there are.

    Examples
    --------
    >>> parse_rule("modality=CT,thickness<=3")[1]
    Condition(key='thickness', comparison='<=', value='3')
    """
    return tuple(_condition(part.strip()) for part in rule.split(","))


def _condition(part: str) -> Condition:
    found = re.fullmatch(r"(\w+)\s*(<=|>=|=)\s*(.+)", part)
    if not found:
        raise _invalid(f"{part!r} is not key=value")
    key, comparison, value = found[1].lower(), found[2], found[3].strip()
    if key not in _KEYS:
        raise _invalid(f"There is no key {key!r}")
    if comparison != "=" and key != "thickness":
        raise _invalid(f"{key} can only be compared with =")
    if key == "orientation" and value.lower() not in _PLANES.values():
        raise _invalid(f"{value!r} is no orientation: axial, coronal or sagittal")
    pattern = {"number": r"\d+", "thickness": r"\d+(\.\d*)?"}.get(key)
    if pattern and not re.fullmatch(pattern, value):
        raise _invalid(f"{value!r} is no {key}")
    return Condition(key, comparison, value)


def _invalid(found: str) -> InputRefused:
    return InputRefused("rule-invalid", found, do=f"Use the keys {', '.join(_KEYS)}")


def select(series: Sequence[Series], rule: str) -> list[Series]:
    """Return the series that meet every condition of a rule, in their order, usable or not.

    Raises
    ------
    InputRefused
        ``rule-invalid``, as :func:`parse_rule`.
    """
    conditions = parse_rule(rule)
    return [one for one in series if all(meets(one) for meets in conditions)]


def _modality(series: Series, wanted: Condition) -> bool:
    return series.modality.upper() == wanted.value.upper()


def _description(series: Series, wanted: Condition) -> bool:
    return fnmatchcase(series.description.lower(), wanted.value.lower())


def _orientation(series: Series, wanted: Condition) -> bool:
    if series.geometry is None:
        return False
    return _PLANES[series.geometry.orientation[2]] == wanted.value.lower()


def _number(series: Series, wanted: Condition) -> bool:
    return series.number == int(wanted.value)


def _thickness(series: Series, wanted: Condition) -> bool:
    thickness, limit = series.thickness, float(wanted.value)
    if thickness is None:
        return False
    below, above = thickness <= limit + _CLOSE_MM, thickness >= limit - _CLOSE_MM
    return {"<=": below, ">=": above, "=": below and above}[wanted.comparison]


def _case(series: Series, wanted: Condition) -> bool:
    return fnmatchcase(series.case, wanted.value)


_KEYS: dict[str, Callable[[Series, Condition], bool]] = {
    "modality": _modality,
    "description": _description,
    "orientation": _orientation,
    "number": _number,
    "thickness": _thickness,
    "case": _case,
}
