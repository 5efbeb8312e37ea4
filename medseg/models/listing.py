"""The models at hand, broken ones among them: what came with medseg and what lies in folders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medseg.errors import ModelRefused
from medseg.models.container import RECORD
from medseg.models.package import ModelPackage
from medseg.models.shipped import home, shipped

DEPTH = 2  # folders down to a package: a training writes OUT/model, several lie side by side


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """A model package, or what is wrong with it.

    Attributes
    ----------
    name : str
        As its maker called it; of a broken one, the name of its folder.
    path : Path
    shipped : bool
        Whether it came with medseg.
    package : ModelPackage or None
    refusal : ModelRefused or None
        Why it cannot be used; exactly one of the two is there.
    """

    name: str
    path: Path
    shipped: bool
    package: ModelPackage | None
    refusal: ModelRefused | None


def listed(places: Iterable[str | Path] = ()) -> list[Entry]:
    """Return the shipped models, then those at the places, every one checked.

    Parameters
    ----------
    places : iterable of path
        Packages, or folders with packages up to two levels down. One with neither is an
        entry that says so.
    """
    entries = [_entry(home() / name, shipped=True) for name in shipped()]
    for place in map(Path, places):
        entries += [_entry(path, shipped=False) for path in _packages(place)]
    return entries


def _packages(place: Path) -> list[Path]:
    if not place.is_dir() or (place / RECORD).exists():
        return [place]
    patterns = ["/".join(["*"] * depth + [RECORD]) for depth in range(1, DEPTH + 1)]
    found = [record.parent for pattern in patterns for record in place.glob(pattern)]
    return sorted(found) or [place]


def _entry(path: Path, *, shipped: bool) -> Entry:
    try:
        package = ModelPackage.open(path)
    except ModelRefused as refusal:
        return Entry(path.name, path, shipped, None, refusal)
    return Entry(package.name, path, shipped, package, None)
