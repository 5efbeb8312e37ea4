"""Which of the series under a path are to be segmented, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from medseg.batch.outcome import Outcome, unsuccessful
from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.plan import Plan
from medseg.reading import Found, Series, parse_rule, select


@dataclass(frozen=True, slots=True)
class Choice:
    """Series to segment, outcomes of those that are not, and files that are no images."""

    chosen: tuple[Series, ...]
    others: tuple[Outcome, ...]
    skipped: dict[str, int]


def choose(found: Found, plan: Plan, rule: str | None = None) -> Choice:
    """Choose what qualifies among the series of a path.

    A scan qualifies when it can be read, meets the rule and, where there are several, has the
    model's modality (or states none). A single scan is always taken: another modality is then
    warned about when it is segmented. Several qualifying series in *one* folder of files are
    most likely phases or reconstructions of one examination: that is refused with a list.
    Series in several folders, and files of other forms, are a batch: all are taken.

    Raises
    ------
    InputRefused
        ``no-images``: nothing to segment. ``rule-invalid``, ``rule-matches-none``,
        ``several-series``; for a single scan, why it cannot be read.
    """
    scans = [series for series in found if series.scan]
    others = [no_scan(series) for series in found if not series.scan]
    if not scans:
        raise nothing(found, found.skipped)
    if rule is not None:
        matching = select(scans, rule)
        others += [left_out(series, "rule", "does not meet the rule") for series in scans
                   if series not in matching]  # fmt: skip
        if not matching:
            raise InputRefused("rule-matches-none", f"None of {len(scans)} series meets the rule",
                               do=f"Choose one of: {_listing(scans)}")  # fmt: skip
        scans = matching
    if len(scans) == 1:
        refusal = scans[0].refusal()
        if refusal:
            raise refusal
        return Choice((scans[0],), tuple(others), found.skipped)
    return _of_several(scans, others, found.skipped, plan, rule)


def _of_several(
    scans: Sequence[Series],
    others: list[Outcome],
    skipped: dict[str, int],
    plan: Plan,
    rule: str | None,
) -> Choice:
    wanted = {channel.modality for channel in plan.channels} - {""}
    by_modality = rule is not None and any(
        condition.key == "modality" for condition in parse_rule(rule)
    )
    chosen = []
    for series in scans:
        refusal = series.refusal()
        if refusal:
            others.append(unsuccessful(series.case, refusal, **known(series)))
        elif wanted and series.modality and series.modality not in wanted and not by_modality:
            words = f"it is {series.modality}, the model is for {' or '.join(sorted(wanted))}"
            others.append(left_out(series, "modality-differs", words))
        else:
            chosen.append(series)
    if not chosen and all(one.status == "left out" for one in others):
        raise InputRefused(
            "modality-differs",
            f"None of {len(scans)} series is {' or '.join(sorted(wanted))}",
            do="Give one of them alone, or choose by a rule with modality=...: " + _listing(scans),
        )
    if len(chosen) > 1 and _one_folder(chosen):
        raise InputRefused(
            "several-series",
            f"{len(chosen)} series in one folder qualify",
            do=f"Choose one by --series, such as case=...: {_listing(chosen)}",
        )
    if len(chosen) == 1 and len(scans) > 1:
        reason = f"Chosen of {len(scans)} series: the only one that qualifies"
        noted = (*chosen[0].findings, Finding("info", "series-chosen", reason))
        chosen = [replace(chosen[0], findings=noted)]
    return Choice(tuple(chosen), tuple(others), skipped)


def _one_folder(series: Sequence[Series]) -> bool:
    """Return whether these are DICOM series whose files lie side by side."""
    folders = {file.parent for one in series for file in one.files}
    return len(folders) == 1 and all(one.form == "dicom" for one in series)


def known(series: Series) -> dict[str, Any]:
    """Return what an outcome tells of a series before it is read."""
    geometry = series.geometry
    return {
        "modality": series.modality,
        "shape": geometry.shape if geometry else (),
        "spacing_mm": geometry.spacing if geometry else (),
        "findings": series.findings,
    }


def left_out(series: Series, code: str, words: str) -> Outcome:
    """Return the outcome of a series that was not asked for."""
    reasons = [finding.words for finding in series.findings if finding.level == "error"]
    return Outcome(series.case, "left out", code, reasons[0] if reasons else words,
                   **known(series))  # fmt: skip


def no_scan(series: Series) -> Outcome:
    """Tell a damaged file, which somebody has to look at, from what never was a scan."""
    refusal = series.refusal()
    if refusal and refusal.code.startswith("file-"):
        return unsuccessful(series.case, refusal, **known(series))
    return left_out(series, "no-scan", "no image series")


def nothing(found: Sequence[Series], skipped: dict[str, int]) -> InputRefused:
    """Return the refusal of a path without a scan: why the first is none, or what is there."""
    for series in found:
        refusal = series.refusal()
        if refusal:
            return refusal
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
    return InputRefused("no-images", f"There is no scan here ({reasons or 'empty'})",
                        do="Give a DICOM folder, an image file, or a folder of either")  # fmt: skip


def _listing(series: Sequence[Series]) -> str:
    """Name each series by what may be shown of it."""
    shown = [
        ", ".join(
            part
            for part in (
                one.case,
                one.modality,
                f"series {one.number}" if one.number is not None else "",
                "x".join(map(str, one.geometry.shape)) if one.geometry else "",
            )
            if part
        )
        for one in series[:20]
    ]
    return "; ".join(shown) + (f"; and {len(series) - 20} more" if len(series) > 20 else "")
