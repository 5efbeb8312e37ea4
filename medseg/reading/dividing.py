"""What lies in one DICOM series: its volumes told apart, strays left out, mixtures refused."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from medseg.dicom.space import slice_normal
from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.reading.headers import Slice
from medseg.reading.slices import SAME_PLACE_MM, SQUARE, Stack, depths, plane_of, repeats, stacked

SAME_SPACING = 1e-3  # relative; real series agree to all digits
MAIN_SLICES, MAIN_SHARE, STRAYS = 3, 0.8, 3  # when the rest of a series is left out (dicom.md 1.1)
_NEVER_TOGETHER = ("modality", "storage class", "frame of reference", "image type", "stack")
_TELLS_APART = (  # where positions repeat, in the order they are tried
    "echo time", "temporal position", "trigger time", "b-value", "contrast", "acquisition number",
    "inversion time", "flip angle", "kernel", "reconstruction diameter", "acquisition time",
    "content time", "file",
)  # fmt: skip
_SHARED = ("echo time", "temporal position", "b-value", "kernel", "units", "rescale type")
_STRAY_BY = ("image size", "orientation")
_STRAY_COSINE = 0.98  # 11 degrees; images turned by less are of the stack and not beside it


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """One volume of a series; ``key`` names what tells it from the others, if there are any."""

    stack: Stack
    key: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class _Group:
    traits: dict[str, Hashable]
    slices: list[Slice]


def divided(slices: Sequence[Slice]) -> list[Part]:
    """Return the volumes of one series, each with its stack.

    Images of another size or orientation that are few beside one clear majority are left out
    with a finding. A series whose images differ in what one volume must share gives several
    volumes only when each is a sound stack and they are no pieces of one.

    Raises
    ------
    InputRefused
        ``series-mixed``, ``slices-repeated``, and the codes of
        :func:`medseg.reading.slices.stacked`.
    """
    groups, findings = _without_strays(_grouped(slices))
    differs = _difference(groups)
    parts: list[Part] = []
    try:
        if len(groups) > 1 and (_in_pieces(groups) or min(len(one.slices) for one in groups) < 2):
            raise _mixed(differs)
        for group in groups:
            parts += _told_apart(group.slices, _own_words(group, groups))
    except InputRefused as refusal:
        if len(groups) == 1 or refusal.code == "series-mixed":
            raise
        raise _mixed(f"{differs}; and one of them is no volume: {refusal.found}") from None
    if len(parts) > 1:
        words = f"more than one volume in one series: {differs or _by_key(parts)}"
        findings.append(Finding("warning", "series-divided", words))
    return [_with(part, findings) for part in parts]


def _mixed(differs: str) -> InputRefused:
    return InputRefused(
        "series-mixed",
        f"more than one volume in one series: {differs}",
        do="Separate the images by this attribute and read each volume alone",
    )


def _with(part: Part, findings: Sequence[Finding]) -> Part:
    stack = part.stack
    return Part(Stack(stack.slices, stack.geometry, (*findings, *stack.findings)), part.key)


def _by_key(parts: Sequence[Part]) -> str:
    return f"told apart by {', '.join(part.key for part in parts)}"


def _grouped(slices: Sequence[Slice]) -> list[_Group]:
    """Group slices by what one volume must share; the largest group first."""
    planes: list[np.ndarray] = []
    spacings: list[np.ndarray] = []
    groups: dict[tuple[Hashable, ...], _Group] = {}
    for one in slices:
        traits: dict[str, Hashable] = {
            "image size": (one.columns, one.rows),
            "orientation": _nearest(np.asarray(one.orientation), planes, SQUARE),
            "pixel spacing": _nearest(np.log(one.pixel_spacing or ()), spacings, SAME_SPACING),
            **{name: one.traits.get(name) for name in _NEVER_TOGETHER},
        }
        groups.setdefault(tuple(traits.values()), _Group(traits, [])).slices.append(one)
    return sorted(groups.values(), key=lambda group: -len(group.slices))


def _nearest(value: np.ndarray, known: list[np.ndarray], tolerance: float) -> int:
    """Return the number of the first known value within a tolerance; a new one is added."""
    for n, other in enumerate(known):
        if np.abs(value - other).max() <= tolerance:
            return n
    known.append(value)
    return len(known) - 1


def _without_strays(groups: list[_Group]) -> tuple[list[_Group], list[Finding]]:
    main, rest = groups[0], groups[1:]
    strays = sum(len(group.slices) for group in rest)
    share = len(main.slices) / (len(main.slices) + strays)
    if not 0 < strays <= STRAYS or len(main.slices) < MAIN_SLICES or share <= MAIN_SHARE:
        return groups, []
    differing = [[name for name in _STRAY_BY if group.traits[name] != main.traits[name]]
                 for group in rest]  # fmt: skip
    if not all(differing) or any(_slightly_turned(group, main) for group in rest):
        return groups, []
    names = " and ".join(sorted({name for names in differing for name in names}))
    words = f"{strays} of {len(main.slices) + strays} images differ in {names} and are left out"
    return [main], [Finding("warning", "strays-left-out", words)]


def _slightly_turned(group: _Group, main: _Group) -> bool:
    """Return whether images of the main group's size lie at a small angle to it."""
    if group.traits["image size"] != main.traits["image size"]:
        return False
    normals = [slice_normal(plane_of(one.slices[0].orientation or ())) for one in (group, main)]
    return bool(abs(normals[0] @ normals[1]) > _STRAY_COSINE)


def _difference(groups: Sequence[_Group]) -> str:
    """Say which attribute divides the groups, with the counts; empty for one group."""
    said = []
    total = sum(len(group.slices) for group in groups)
    for name in groups[0].traits:
        counts: Counter[Hashable] = Counter()
        for group in groups:
            counts[group.traits[name]] += len(group.slices)
        if len(counts) > 1:
            said.append(f"{name} differs{_split_words(counts, total)}")
    return "; ".join(said)


def _split_words(counts: Counter[Hashable], total: int) -> str:
    sizes = sorted(counts.values(), reverse=True)
    if sizes[0] > MAIN_SHARE * total:
        return f" in {total - sizes[0]} of {total} images"
    return f": {' + '.join(map(str, sizes))} images"


def _own_words(group: _Group, groups: Sequence[_Group]) -> str:
    """Name a group by its place among the others, stable and without its values."""
    return f"group {groups.index(group) + 1}" if len(groups) > 1 else ""


def _in_pieces(groups: Sequence[_Group]) -> bool:
    """Return whether parallel groups share no position, as pieces of one stack do."""
    parallel: dict[Hashable, list[_Group]] = defaultdict(list)
    for group in groups:
        parallel[group.traits["orientation"]].append(group)
    for members in parallel.values():
        reference = members[0].slices[0]
        for one, other in pairwise(members):
            own = depths([reference, *one.slices])[1:, None]
            if np.abs(own - depths([reference, *other.slices])[1:]).min() > SAME_PLACE_MM:
                return True
    return False


def _told_apart(slices: list[Slice], words: str) -> list[Part]:
    """Return one volume, or several where every position repeats and attributes tell why.

    One attribute that tells all of them apart is preferred to two that do so together.
    """
    if not repeats(depths(slices)):
        _check_shared(slices)
        return [Part(stacked(slices), words)]
    splits = [(name, parts) for name in _TELLS_APART if (parts := _split(slices, name))]
    splits.sort(key=lambda split: repeats(depths(split[1][0][1])))
    if not splits:
        return [Part(stacked(slices), words)]  # refuses, with the position that comes twice
    name, parts = splits[0]
    lead = f"{words}, " if words else ""
    return [part for value, members in parts
            for part in _told_apart(members, f"{lead}{name} {value}")]  # fmt: skip


def _split(slices: Sequence[Slice], name: str) -> list[tuple[str, list[Slice]]]:
    """Split by one attribute; empty unless each part has as many images at the same positions."""
    parts: dict[Hashable, list[Slice]] = defaultdict(list)
    for one in slices:
        value = one.traits.get(name)
        if name == "b-value":
            value = (value, one.traits.get("gradient direction"))
        parts[value].append(one)
    sizes = {len(part) for part in parts.values()}
    if len(parts) < 2 or len(sizes) > 1:
        return []
    reference = slices[0]
    grids = np.array([np.sort(depths([reference, *part])[1:]) for part in parts.values()])
    if np.ptp(grids, axis=0).max() > SAME_PLACE_MM:
        return []
    return [(_value_words(name, value, n), parts[value])
            for n, value in enumerate(sorted(parts, key=_sortable))]  # fmt: skip


def _sortable(value: Hashable) -> tuple[int, float, str]:
    if isinstance(value, tuple) and value and isinstance(value[0], float):
        return (0, value[0], str(value))
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def _value_words(name: str, value: Hashable, n: int) -> str:
    """Say the value where it is a plain number of the acquisition, else its place in order."""
    if name == "b-value" and isinstance(value, tuple):
        direction = "" if value[1] is None else f", direction {n + 1}"
        return f"{value[0] if value[0] is not None else 'unknown'}{direction}"
    return f"{value:g}" if isinstance(value, int | float) else str(n + 1)


def _check_shared(slices: Sequence[Slice]) -> None:
    """Refuse a stack whose slices differ in what changes their contrast or their unit."""
    for name in _SHARED:
        values = [one.traits.get(name) for one in slices]
        counts = Counter(value for value in values if value not in (None, "", ()))
        if len(counts) > 1:
            total = sum(counts.values())
            raise _mixed(f"{name} differs{_split_words(counts, total)}")
