"""What the values of two masks mean, and how both sides are brought to the same values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import RootModel, model_validator

from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.labels import Label, LabelSet
from medseg.settings import load_settings
from medseg.volume import LabelMap


class _Listed(RootModel[tuple[Label, ...]]):
    """A LABELS.yaml: a list of value, name, category, type, laterality, colour, region."""

    @model_validator(mode="after")
    def _labels_go_together(self) -> _Listed:
        labels = LabelSet(self.root)
        plain = {label.value for label in labels.plain}
        for label in labels:
            if unknown := set(label.region) - plain:
                raise ValueError(
                    f"the region {label.name} has the value {min(unknown)}, which is no plain label"
                )
        return self


def load_labels(path: Path) -> LabelSet:
    """Return the labels that a LABELS.yaml lists.

    Raises
    ------
    PlanRefused
        ``settings-missing``, ``settings-invalid``: with file, line and key; also where a value
        or name comes twice, or a region has a value that is not listed.
    """
    return LabelSet(load_settings(path, _Listed).root)


def agreed(
    prediction: LabelMap, reference: LabelMap, wanted: LabelSet | None = None
) -> tuple[LabelMap, LabelMap, tuple[Finding, ...]]:
    """Return both masks with the values of one label set, and what was assumed.

    A side that names its structures, as DICOM does, is matched by name (upper and lower case
    are one), then by code and side; one that does not, by value. Without ``wanted`` the names
    of the reference count, else those of the prediction. Structures that a label file does
    not list are left out.

    Raises
    ------
    InputRefused
        ``labels-differ``: a structure of one side has no counterpart; ``labels-unknown``: a
        value has no name.
    """
    findings: list[Finding] = []
    labels = wanted or _common(prediction, reference)
    if wanted is None and named(prediction.labels) != named(reference.labels):
        words = "One side has no names, so labels were matched by their numbers"
        findings.append(Finding("warning", "labels-by-number", words))
    both = []
    for which, side in (("prediction", prediction), ("reference", reference)):
        moved, told = _as(side, labels, which, strict=wanted is None)
        both.append(moved)
        findings += told
    return both[0], both[1], tuple(findings)


def _common(prediction: LabelMap, reference: LabelMap) -> LabelSet:
    for side in (reference, prediction):
        if named(side.labels):
            return side.labels
    by_value = {label.value: label for side in (prediction, reference) for label in side.labels}
    return LabelSet(tuple(by_value.values()))


def named(labels: LabelSet) -> bool:
    """Return whether a file told the names, rather than reading having numbered them."""
    return any(label.name != f"Label {label.value}" for label in labels)


def _as(
    side: LabelMap, labels: LabelSet, which: str, *, strict: bool
) -> tuple[LabelMap, list[Finding]]:
    if side.labels is labels:
        return side, []
    if not named(side.labels):
        if strange := {label.value for label in side.labels} - set(labels.values):
            raise InputRefused(
                "labels-unknown",
                f"The {which} has the value {min(strange)}, which is none of the labels "
                f"{', '.join(map(str, labels.values[1:]))}",
                do="Name it in the label file, or correct the mask",
            )
        return replace(side, labels=labels), []
    table = np.zeros(max(side.labels.values) + 1, np.uint16)
    unmatched = []
    for label in side.labels.plain:
        same = _counterpart(label, labels.plain)
        table[label.value] = same.value if same else 0
        unmatched += [] if same else [label.name]
    if unmatched and (strict or len(unmatched) == len(side.labels.plain)):
        raise InputRefused(
            "labels-differ",
            f"The structure {unmatched[0]!r} of the {which} is none of "
            f"{', '.join(repr(label.name) for label in labels.plain[:20])}",
            do="Give a label file with --labels that names the structures as the files do",
        )
    words = f"Structures of the {which} that are no labels were left out: {len(unmatched)}"
    told = [Finding("warning", "labels-left-out", words)] if unmatched else []
    small = max(labels.values) <= np.iinfo(np.uint8).max
    array = table.astype(np.uint8 if small else np.uint16)[side.array]
    return replace(side, array=array, labels=labels), told


def _counterpart(label: Label, among: Sequence[Label]) -> Label | None:
    for same in (_same_name, _same_code):
        found = [other for other in among if same(label, other)]
        if len(found) == 1:
            return found[0]
    return None


def _same_name(one: Label, other: Label) -> bool:
    return " ".join(one.name.casefold().split()) == " ".join(other.name.casefold().split())


def _same_code(one: Label, other: Label) -> bool:
    return one.type is not None and other.type is not None and _coded(one) == _coded(other)


def _coded(label: Label) -> tuple[object, ...]:
    assert label.type is not None
    modifiers = frozenset((code.value, code.scheme) for code in label.modifiers)
    return (label.type.value, label.type.scheme, modifiers, label.laterality)
