"""An evaluation as files for programs: ``cases.csv`` and ``summary.json``."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medseg import __version__
from medseg.evaluation.judging import Options
from medseg.evaluation.outcome import Evaluation, LabelSummary
from medseg.evaluation.statistics import RESAMPLES, SEED, Summary
from medseg.files import whole_file, write_json
from medseg.metrics import EMPTY_POLICIES, Detection

CASES, SUMMARY, LESIONS = "cases.csv", "summary.json", "lesions.csv"
REPORT = "report.html"
FORMAT = 1
FIRST = ("dice", "iou", "sensitivity", "precision", "specificity", "volume_ml", "reference_ml",
         "hd_mm", "hd95_mm", "assd_mm", "nsd_1mm")  # fmt: skip

HD95 = {
    "medseg": "the larger of both directed 95th percentiles, weighted by surface area, "
              "not interpolated (as DeepMind's surface-distance)",
    "monai": "the larger of both directed 95th percentiles over border voxels, unweighted, "
             "interpolated (as MONAI)",
    "medpy": "the 95th percentile of both directed lists together, border voxels, unweighted, "
             "interpolated (as medpy and many BraTS tools)",
}  # fmt: skip


def columns_of(result: Evaluation) -> list[str]:
    """Return the columns of scores: the fixed ones first, then the others as met."""
    others = [name for name in result.columns if name not in FIRST]
    return [*FIRST, *others]


def write_cases(path: Path, result: Evaluation) -> None:
    """Write one row a case and label, and one for each case without scores; nan is empty."""
    columns = columns_of(result)
    grouped = ["group"] if result.by else []
    with whole_file(path) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["case", "label", "name", *columns, "outcome", "patient", *grouped, "reason"])
        for case in result.cases:
            ends = [case.patient, *([case.group] if result.by else [])]
            if case.refusal is not None:
                reason = f"{case.refusal} [{case.refusal.code}]"
                rows.writerow([case.case, "", "", *[""] * len(columns), "not evaluated",
                               *ends, reason])  # fmt: skip
            for row in case.rows:
                scores = [_number(row.scores.get(name, math.nan)) for name in columns]
                rows.writerow([case.case, row.label, row.name, *scores, row.outcome, *ends, ""])


def write_lesions(path: Path, result: Evaluation) -> None:
    """Write one row a predicted lesion: volume, box in voxels, and which true one it matches.

    Boxes run from the first to the last voxel along i, j and k, counted from 0.
    """
    with whole_file(path) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["case", "label", "name", "lesion", "volume_ml", "box", "matched",
                       "reference_ml", "iou", "dice", "score"])  # fmt: skip
        for case in result.done:
            for row in case.rows:
                start = (case.case, row.label, row.name)
                rows.writerows((*start, *one) for one in _lesions(row.lesions))


def _lesions(found: Detection | None) -> Iterator[tuple[object, ...]]:
    if found is None:
        return
    partner = {other: (n, one) for n, (one, other) in enumerate(found.matches.tolist())}
    for number, (ml, box) in enumerate(zip(found.predicted_ml, found.predicted_boxes, strict=True)):
        place = " ".join(f"{along.start}-{along.stop - 1}" for along in box)
        score = "" if found.scores is None else _number(float(found.scores[number]))
        told = [number + 1, _number(float(ml)), place]
        if number not in partner:
            yield (*told, 0, "", "", "", score)
            continue
        n, one = partner[number]
        overlaps = [_number(float(values[n])) for values in (found.ious, found.dices)]
        yield (*told, 1, _number(float(found.truth_ml[one])), *overlaps, score)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def write_summary(path: Path, result: Evaluation) -> None:
    """Write the summary of every label, the definitions, and what became of each case."""
    write_json(path, as_json(result))


def as_json(result: Evaluation) -> dict[str, Any]:
    """Return the summary as plain values; what is nan or infinite is null."""
    told: dict[str, Any] = {
        "format": FORMAT,
        "medseg": __version__,
        "status": result.exit_status,
        "seconds": round(result.seconds, 3),
        "cases": len(result.cases),
        "evaluated": len(result.done),
        "definitions": dict(definitions(result.options)),
        "labels": _labels(result.summaries()),
    }
    if result.by:
        told["by"] = result.by
        told["groups"] = [
            {"group": group, "cases": sum(case.group == group for case in result.done),
             "labels": _labels(result.summaries(group))}
            for group in result.groups
        ]  # fmt: skip
    told["not_evaluated"] = [
        {"case": case.case, "code": case.refusal.code, "why": str(case.refusal)}
        for case in result.failed if case.refusal is not None
    ]  # fmt: skip
    told["findings"] = [
        {"case": case.case, "level": one.level, "code": one.code, "words": one.words}
        for case in result.cases for one in case.findings
    ]  # fmt: skip
    return told


def _labels(summaries: Iterable[LabelSummary]) -> list[dict[str, Any]]:
    return [
        {"label": one.value, "name": one.name, "outcomes": one.outcomes,
         "scores": _scores(one.scores), "where_present": _scores(one.present)}
        for one in summaries
    ]  # fmt: skip


def _scores(scores: Mapping[str, Summary]) -> dict[str, dict[str, float | None]]:
    return {name: finite(asdict(one)) for name, one in scores.items()}


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values rounded to six digits, with null for what JSON has no number for."""
    return {
        key: (float(f"{value:.6g}") if math.isfinite(value) else None)
        if isinstance(value, float) else value
        for key, value in values.items()
    }  # fmt: skip


def definitions(options: Options) -> list[tuple[str, str]]:
    """Return what each score means and how empty masks count, as pairs of name and words."""
    policy = EMPTY_POLICIES[options.empty]

    def worth(value: float | None, unit: str = "") -> str:
        if value is None:
            return "the diagonal of the image"
        return "not counted" if math.isnan(value) else f"{value:g}{unit}"

    tolerances = ", ".join(f"{one:g}" for one in options.tolerances_mm)
    told = [
        ("Mean", f"over the cases where the score counts; its interval is a 95 % BCa bootstrap "
                 f"over patients, {RESAMPLES} resamples, seed {SEED}"),
        ("Empty masks", f"policy {options.empty!r}: both empty: overlaps "
                        f"{worth(policy.overlap_of_both)}, distances "
                        f"{worth(policy.distance_of_both, ' mm')}; missed or false alarm: overlaps "
                        f"{worth(policy.overlap_of_one)}, distances "
                        f"{worth(policy.distance_of_one, ' mm')}"),
        ("Missing predictions", "count as found nothing" if options.missing_as_empty else
                                "are listed and in no mean"),
        ("HD95", f"{options.hd95}: {HD95[options.hd95]}"),
        ("HD, ASSD, NSD", "over surface elements, weighted by area; NSD at tolerances of "
                          f"{tolerances} mm"),
        ("Volumes", "voxels times voxel volume; volume_error is (prediction − reference) / "
                    "reference"),
        ("Other grids", "predictions are resampled by nearest voxel, and named below"
                        if options.resample else "predictions on another grid are refused"),
    ]  # fmt: skip
    if (rule := options.lesions) is not None:
        told.append(("Lesions", f"connected voxels ({rule.neighbours or 'all'} neighbours); a "
                                f"match has {rule.overlap} of at least {rule.threshold:g}, "
                                f"{rule.assign}, one to one; smaller than "
                                f"{rule.smallest_ml:g} ml is left out"))  # fmt: skip
    if options.ignore is not None:
        told.append(("Unlabelled voxels", f"where a reference is {options.ignore}, neither mask "
                                          "counts; probabilities are not used"))  # fmt: skip
    return told


def findings_of(result: Evaluation) -> list[dict[str, Any]]:
    """Return each finding once, with how many cases have it."""
    met = Counter((one.code, one.words) for case in result.cases for one in case.findings)
    return [{"code": code, "words": words, "cases": count} for (code, words), count in
            met.most_common()]  # fmt: skip
