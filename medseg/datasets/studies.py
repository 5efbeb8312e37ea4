"""A folder of DICOM studies, in which SEG or RTSTRUCT objects are the labels of scans."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from medseg.datasets.dataset import Case, Dataset
from medseg.dicom.private import digest
from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.labels import Label, LabelSet
from medseg.reading import parse_rule, scan
from medseg.reading.references import References, references
from medseg.reading.series import Series
from medseg.volume import Volume

OBJECTS = ("RTSTRUCT", "SEG")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the studies make the cases, and which of the structures the labels.

    Attributes
    ----------
    channels : mapping of str to str
        The name of each channel and the rule that its series meets, as
        :func:`medseg.reading.parse_rule` has it. The labels belong to the first channel; the
        others are looked for in the same study. Empty: one channel, of any modality if all
        cases have the same.
    labels : LabelSet or None
        None: every structure is a label, by its name.
    structures : mapping of str to str
        For names of labels the pattern of the structures that they are; a label that is not
        in it is the structure of its own name. Case does not matter.
    """

    channels: Mapping[str, str] = field(default_factory=dict)
    labels: LabelSet | None = None
    structures: Mapping[str, str] = field(default_factory=dict)


ANY = Choice()


def dataset(folder: Path, choice: Choice = ANY, name: str = "") -> Dataset | None:
    """Return the scans under a folder that have labels, or None where no object labels any.

    An object labels the series whose instances it names, or which it names itself; sharing a
    frame of reference is not enough, as CT, MR and PET of one session do. Patients are told
    apart by the hash of their Patient ID, or of the study where there is none.

    Raises
    ------
    InputRefused
        ``modalities-mixed``: without rules, cases are of several modalities. ``rule-invalid``.
    """
    for rule in choice.channels.values():
        parse_rule(rule)
    found = scan(folder)
    labelled, findings = _labelled(found)
    if not labelled:
        return None
    first, *others = choice.channels.values() or ("",)
    wanted = [one for one in labelled if _meets(one.series, first)]
    if not first:
        _check_one_modality(wanted)
    labels, patterns = _labels(choice, wanted)
    cases = []
    for one in wanted:
        channels, why = _channels(one.series, found, others)
        if why is not None:
            findings.append(why)
        elif not patterns or _holds(one, patterns):
            cases.append(_case(one, channels, patterns))
        else:
            words = f"Scan {one.series.case}: none of its structures is a label: left out"
            findings.append(Finding("warning", "labels-absent", words))
    names = tuple(choice.channels) or (wanted[0].series.modality if wanted else "",)
    by_name = sorted(cases, key=lambda case: case.name)
    return Dataset(name or folder.name, tuple(by_name), names, labels, findings=tuple(findings))


def read_series(folder: Path, key: str) -> Volume:
    """Return the series under a folder whose identity has a hash.

    Raises
    ------
    InputRefused
        ``series-gone``: it is there no more. And the codes of reading a series.
    """
    for one in scan(folder):
        if key_of(one) == key:
            return one.read()
    raise InputRefused("series-gone", "The series is no longer where the data set was opened",
                       do="Open the data set again")  # fmt: skip


def key_of(series: Series) -> str:
    """Return what tells a series, or a volume of one, from all others without naming it."""
    return digest(series.identity, 32)


@dataclass(frozen=True, eq=False, slots=True)
class _Labelled:
    """A scan and the object that labels it."""

    series: Series
    label: Path
    labels: LabelSet


def _labelled(found: Sequence[Series]) -> tuple[list[_Labelled], list[Finding]]:
    """Return the scans that have exactly one object of labels, and what is odd about others."""
    scans = [one for one in found if one.scan and one.form == "dicom" and one.slices]
    objects: dict[str, list[tuple[Path, References]]] = defaultdict(list)
    findings = []
    for one in found:
        if one.form != "dicom" or one.modality not in OBJECTS:
            continue
        for file in one.files:
            try:
                told = references(file)
            except InputRefused as refusal:
                words = f"{one.modality} {one.case}: {refusal.found}: left out"
                findings.append(Finding("error", refusal.code, words))
                continue
            belongs = _drawn_on(scans, told)
            for each in belongs:
                objects[each.case].append((file, told))
            if not belongs:
                words = f"{one.modality} {one.case}: the scan that it was drawn on is not here"
                findings.append(Finding("warning", "labels-without-scan", words))
    labelled = []
    for each in scans:
        own = objects[each.case]
        if len(own) == 1:
            labelled.append(_Labelled(each, own[0][0], own[0][1].labels))
        elif own:
            words = f"Scan {each.case}: {len(own)} objects label it: left out"
            findings.append(Finding("error", "labels-several", words))
    return labelled, findings


def _drawn_on(scans: Sequence[Series], told: References) -> list[Series]:
    """Return the scans that an object names, by instances or, as UIDs may be renewed, by series.

    The volumes into which one series was divided are told apart by instances alone.
    """
    by_instance = [
        one for one in scans if any(each.header.instance in told.instances for each in one.slices)
    ]
    return by_instance or [one for one in scans if one.uid in told.series]


def _meets(series: Series, rule: str) -> bool:
    return not rule or all(condition(series) for condition in parse_rule(rule))


def _check_one_modality(labelled: Sequence[_Labelled]) -> None:
    kinds = sorted({one.series.modality for one in labelled})
    if len(kinds) > 1:
        raise InputRefused(
            "modalities-mixed",
            f"Scans of {', '.join(kinds)} have labels: one network sees one kind",
            do="Write a manifest with the channel, such as channels: {CT: modality=CT}; see "
            "docs/datasets.md",
        )


def _labels(
    choice: Choice, labelled: Sequence[_Labelled]
) -> tuple[LabelSet, tuple[tuple[str, int], ...]]:
    """Return the label set, and the pattern of structure names for each of its values."""
    labels = choice.labels
    if labels is None:
        names = {label.name.lower(): label.name for one in labelled for label in one.labels}
        ordered = [name for _, name in sorted(names.items())]
        labels = LabelSet(tuple(Label(n, name) for n, name in enumerate(ordered, start=1)))
    return labels, patterns_of(labels, choice.structures)


def patterns_of(labels: LabelSet, structures: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """Return the pattern of structure names for the value of each plain label.

    Raises
    ------
    InputRefused
        ``labels-missing``: a pattern is given for a label that is none.
    """
    for name in structures:
        if name not in [label.name for label in labels.plain]:
            raise InputRefused("labels-missing", f"structures names {name!r}, which is no label",
                               do="Name it among the labels")  # fmt: skip
    return tuple((structures.get(one.name, escape(one.name)), one.value) for one in labels.plain)


def _holds(one: _Labelled, patterns: Sequence[tuple[str, int]]) -> bool:
    names = [label.name.lower() for label in one.labels]
    return any(fnmatchcase(name, pattern.lower()) for name in names for pattern, _ in patterns)


def _channels(
    first: Series, found: Sequence[Series], rules: Sequence[str]
) -> tuple[list[Series], Finding | None]:
    """Return the series of all channels of a case, or why it has not all of them."""
    channels = [first]
    for number, rule in enumerate(rules, start=1):
        fits = [one for one in found if one.scan and one.slices and _meets(one, rule)
                and one.slices[0].header.study == first.slices[0].header.study]  # fmt: skip
        if len(fits) != 1:
            words = f"Scan {first.case}: {len(fits)} series of its study fit channel {number}"
            return [], Finding("error", "channel-missing", f"{words}: left out")
        channels += fits
    return channels, None


def _case(
    one: _Labelled, channels: Sequence[Series], patterns: tuple[tuple[str, int], ...]
) -> Case:
    header = one.series.slices[0].header
    return Case(
        one.series.case,
        tuple((_folder(channel), None) for channel in channels),
        one.label,
        patient=digest(header.patient or header.study, 32),
        series=tuple(map(key_of, channels)),
        structures=patterns,
    )


def _folder(series: Series) -> Path:
    """Return the folder in which all files of a series lie."""
    return Path(os.path.commonpath([file.parent for file in series.files]))
