"""An evaluation of classes as files: a row a case, JSON, and a page for people."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from medseg import __version__
from medseg.errors import MedsegError
from medseg.evaluation import charts
from medseg.evaluation.classification import SPECIFICITY, Classification, ClassScores, Score
from medseg.evaluation.report import Column, write_page
from medseg.evaluation.statistics import LEVEL, SCORE_RESAMPLES, SEED
from medseg.evaluation.tables import CASES, REPORT, SUMMARY, finite
from medseg.exporting.thumbnail import thumbnail
from medseg.files import whole_file, write_json
from medseg.metrics.calibration import BINS, reliability
from medseg.metrics.classification import precision_recall, roc_curve

FORMAT = 1
FILES = (CASES, SUMMARY, REPORT)
PICTURES = 12  # of the worst cases

OVERALL = (
    Column("macro_auc", "macro AUC"), Column("accuracy", "accuracy"),
    Column("balanced_accuracy", "balanced accuracy"), Column("brier", "Brier"),
    Column("log_loss", "log loss"), Column("ece", "ECE"),
)  # fmt: skip
OF_CLASS = (
    Column("auc", "AUC"), Column("average_precision", "average precision"),
    Column("sensitivity", "sensitivity"), Column("specificity", "specificity"),
    Column("precision", "precision"),
    Column("sensitivity_at_95", f"sensitivity at {SPECIFICITY:.0%} specificity"),
    Column("ece", "ECE"),
)  # fmt: skip


def write_all(folder: Path, result: Classification) -> None:
    """Write ``cases.csv``, ``summary.json`` and ``report.html``, each whole or not at all."""
    write_cases(folder / CASES, result)
    write_json(folder / SUMMARY, as_json(result))
    write_page(folder / REPORT, "classification.html.j2", _content(result))


def write_cases(path: Path, result: Classification) -> None:
    """Write a row a case: its true and its most probable class, and every probability."""
    grouped = ["group"] if result.by else []
    with whole_file(path) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["case", "label", "predicted", "right", "of_label",
                       *(f"p_{name}" for name in result.classes), "patient", *grouped,
                       "reason"])  # fmt: skip
        for n, case in enumerate(result.cases):
            one, other = int(result.truth[n]), int(result.predicted[n])
            shares = [f"{share:.6g}" for share in result.probabilities[n]]
            ends = [result.patients[n], *([result.groups[n]] if result.by else [])]
            rows.writerow([case, result.classes[one], result.classes[other], int(one == other),
                           shares[one], *shares, *ends, ""])  # fmt: skip
        for case, reason in result.refused:
            rows.writerow([case, *[""] * (5 + len(result.classes) + len(grouped)),
                           f"{reason} [{reason.code}]"])  # fmt: skip


def as_json(result: Classification) -> dict[str, Any]:
    """Return the evaluation as plain values; what is nan is null."""
    told: dict[str, Any] = {
        "format": FORMAT,
        "medseg": __version__,
        "task": "classify",
        "status": result.exit_status,
        "seconds": round(result.seconds, 3),
        "cases": len(result.cases) + len(result.refused),
        "evaluated": len(result.cases),
        "patients": len(set(result.patients)),
        "definitions": dict(definitions(result)),
        "scores": _plain(result.overall),
        "classes": [{"name": one.name, "cases": one.cases, "scores": _plain(one.scores)}
                    for one in result.by_class],
        "confusion": result.confusion.tolist(),
    }  # fmt: skip
    if result.by:
        told["by"] = result.by
        told["groups"] = [
            {"group": group, "cases": int(result.chosen(group).sum()),
             "scores": _plain(scores)} for group, scores in result.by_group.items()
        ]  # fmt: skip
    told["not_evaluated"] = [
        {"case": case, "code": reason.code, "why": str(reason)} for case, reason in result.refused
    ]
    told["findings"] = [asdict(one) for one in result.findings]
    return told


def _plain(scores: Mapping[str, Score]) -> dict[str, dict[str, Any]]:
    return {name: finite(asdict(one)) for name, one in scores.items()}


def definitions(result: Classification) -> list[tuple[str, str]]:
    """Return what each score means, as pairs of name and words."""
    alone = len(set(result.patients)) == len(result.cases)
    whom = "cases" if alone else "patients"
    return [
        ("Called", "the most probable class; no threshold was chosen on these cases"),
        ("Intervals", f"{LEVEL:.0%}, percentiles of {SCORE_RESAMPLES} bootstrap resamples of the "
                      f"{whom}, seed {SEED}" + ("; of AUC: DeLong's variance on the logit scale"
                                                if alone else "")),
        ("AUC", "share of pairs of a case of the class and another that the probability puts in "
                "order, ties half; macro: mean over the classes that have cases"),
        ("Average precision", "mean precision at which each case of the class is found, not "
                              "interpolated; without information it is the share of the class"),
        ("Balanced accuracy", "mean sensitivity of the classes; guessing gives "
                              f"{1 / len(result.classes):.3g}"),
        ("Sensitivity at specificity", f"the highest at a threshold whose specificity here is at "
                                       f"least {SPECIFICITY:.0%}: kind, since the threshold is "
                                       "chosen on the same cases"),
        ("Brier", "squared errors of the probabilities, summed over classes, 0 to 2"),
        ("Log loss", "negative logarithm of the probability of the true class, in nats"),
        ("ECE", f"expected calibration error, {BINS} bins of equal width: of the largest "
                "probability against the share that is right; of a class its own probability "
                "against its share. Few cases make it larger than it is; its interval makes up "
                "for that"),
        ("Missing cases", "are listed and in no score"),
    ]  # fmt: skip


def _content(result: Classification) -> dict[str, Any]:
    done, every = len(result.cases), len(result.cases) + len(result.refused)
    people = len(set(result.patients))
    return {
        "title": f"Evaluation of {every} classified case{'s' * (every != 1)}",
        "subtitle": f"{done} of {every} cases have scores, {len(result.classes)} classes.",
        "people": f"{people} patients" if people != done else f"{done} cases",
        "cases": range(every),
        "failed": [{"case": case, "why": str(reason), "code": reason.code}
                   for case, reason in result.refused],
        "overall": result.overall,
        "overall_columns": OVERALL,
        "classes": result.by_class,
        "class_columns": OF_CLASS,
        "group_name": result.by,
        "groups": [{"name": group, "cases": int(result.chosen(group).sum()),
                    "scores": scores} for group, scores in result.by_group.items()],
        "charts": _charts(result),
        "sheets": _pictures(result),
        "definitions": definitions(result),
        "findings": [{"words": one.words, "code": one.code} for one in result.findings],
        "rows": _rows(result),
    }  # fmt: skip


def _rows(result: Classification) -> list[dict[str, Any]]:
    """Return a row a case, the surest errors first."""
    called, of_truth, sure = result.predicted, result.of_truth, result.probabilities.max(axis=1)
    return [
        {"case": result.cases[n], "label": result.classes[result.truth[n]],
         "predicted": result.classes[called[n]], "right": bool(called[n] == result.truth[n]),
         "of_truth": float(of_truth[n]), "sure": float(sure[n])}
        for n in np.argsort(of_truth, kind="stable")
    ]  # fmt: skip


def _charts(result: Classification) -> list[dict[str, str]]:
    held = [(n, one) for n, one in enumerate(result.by_class) if 0 < one.cases < len(result.cases)]
    if len(result.classes) == 2:  # the second's curve is the first's, seen from the other side
        held = held[-1:]
    roc, steps = [], []
    for number, _ in held:
        pair = result.truth == number, result.probabilities[:, number]
        roc.append(roc_curve(*pair))
        steps.append(precision_recall(*pair))
    told: list[dict[str, str]] = [] if not held else [
        {"svg": charts.curves([_beside(one, "auc") for _, one in held],
                              [one.false_positive_rate for one in roc],
                              [one.sensitivity for one in roc],
                              ("1 − specificity", "sensitivity"), ((0, 0), (1, 1))),
         "caption": "ROC of each class against the others, with its AUC; dashed: chance."},
        {"svg": charts.curves([_beside(one, "average_precision") for _, one in held],
                              [one.recall for one in steps], [one.precision for one in steps],
                              ("recall (sensitivity)", "precision"), ()),
         "caption": "Precision over recall, with the average precision. Chance is the share of "
                    "the class: " + ", ".join(f"{one.name} {one.cases / len(result.cases):.0%}"
                                              for _, one in held) + "."},
    ]  # fmt: skip
    sure = result.probabilities.max(axis=1)
    found = reliability(sure, result.predicted == result.truth)
    return [
        *told,
        {"svg": charts.reliability(found.probability, found.share, found.number),
         "caption": f"Reliability of the largest probability of {len(result.cases)} cases; "
                    f"expected calibration error {found.ece:.3f}. Below the line: too sure."},
        {"svg": charts.confusion(result.classes, result.confusion),
         "caption": "Cases by true class (rows) and what they were called, with the share of the "
                    "row."},
    ]  # fmt: skip


def _beside(one: ClassScores, key: str) -> str:
    return f"{one.name}  {one.scores[key].value:.3f}"


def _pictures(result: Classification) -> list[dict[str, Any]]:
    """Return the images of the cases whose true class got the least probability."""
    told: list[dict[str, Any]] = []
    for n in np.argsort(result.of_truth, kind="stable"):
        path = result.images[n]
        if len(told) == PICTURES:
            break
        if path is None:
            continue
        try:
            picture = thumbnail(path)
        except (MedsegError, OSError, MemoryError):
            continue  # it is drawn where it can be; its scores do not need it
        stream = io.BytesIO()
        picture.save(stream, format="PNG", optimize=True)
        truth, called = result.truth[n], result.predicted[n]
        told.append({
            "png": base64.b64encode(stream.getvalue()).decode(), "case": result.cases[n],
            "wrong": bool(truth != called), "label": result.classes[truth],
            "predicted": result.classes[called], "sure": f"{result.probabilities[n].max():.2f}",
            "of_truth": f"{result.of_truth[n]:.2f}",
        })  # fmt: skip
    return told
