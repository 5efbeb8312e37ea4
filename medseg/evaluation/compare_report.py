"""A comparison as files: a table for programs, JSON, and a page for people."""

from __future__ import annotations

import csv
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from medseg import __version__
from medseg.evaluation import charts
from medseg.evaluation.comparison import (
    FALLING,
    Comparison,
    Difference,
    Gap,
    Place,
    shared_cases,
    values_of,
)
from medseg.evaluation.report import overlay, write_page
from medseg.evaluation.statistics import LEVEL, RANK_RESAMPLES, RESAMPLES, SEED
from medseg.evaluation.tables import definitions, finite
from medseg.files import whole_file

FORMAT = 1
LISTED = 15  # of the largest losses and gains of each pair of models
TITLES = {"dice": "Dice", "hd95_mm": "HD95 mm", "assd_mm": "ASSD mm"}


def title_of(score: str) -> str:
    """Return the heading of a score: ``"NSD 1 mm"`` for ``nsd_1mm``."""
    if score in TITLES:
        return TITLES[score]
    return f"NSD {score.removeprefix('nsd_').removesuffix('mm')} mm"


def write_comparison(path: Path, result: Comparison) -> None:
    """Write the page, whole or not at all."""
    write_page(path, "comparison.html.j2", _content(result))


def write_differences(path: Path, result: Comparison) -> None:
    """Write one row a case, label and score, with a column for each model."""
    cases = shared_cases(result.evaluations)
    with whole_file(path) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["case", "label", "name", "score", *result.names])
        for score in result.scores:
            for label, name in result.evaluations[0].labels:
                table = values_of(result.evaluations, label, score)
                for case, values in zip(cases, table, strict=True):
                    told = ["" if np.isnan(value) else f"{value:.6g}" for value in values]
                    rows.writerow([case, label, name, score, *told])


def as_json(result: Comparison) -> dict[str, Any]:
    """Return the comparison as plain values."""
    return {
        "format": FORMAT,
        "medseg": __version__,
        "status": result.exit_status,
        "seconds": round(result.seconds, 3),
        "models": list(result.names),
        "cases": len(shared_cases(result.evaluations)),
        "definitions": dict(_definitions(result)),
        "differences": [_difference(one, result) for one in result.differences],
        "ranking": [_place(one, result) for one in result.places],
        "not_compared": _not_compared(result),
        "predictions_missing": dict(result.lacking),
    }


def _difference(one: Difference, result: Comparison) -> dict[str, Any]:
    means = finite(asdict(one.paired))
    return {
        "score": one.score, "label": one.label, "name": one.name,
        "first": result.names[one.first], "second": result.names[one.second],
        "mean_first": means.pop("first"), "mean_second": means.pop("second"),
        **means, **finite({"p_holm": one.p_holm}),
    }  # fmt: skip


def _place(one: Place, result: Comparison) -> dict[str, Any]:
    return {
        "score": one.score, "label": one.label, "name": one.name, "cases": one.ranking.cases,
        **finite({"tau": one.ranking.tau}),
        "models": [{"model": name, **finite(asdict(rank))} for name, rank in
                   zip(result.names, one.ranking.ranks, strict=True)],
    }  # fmt: skip


def _not_compared(result: Comparison) -> list[dict[str, str]]:
    return [
        {"model": name, "case": case.case, "code": case.refusal.code, "why": str(case.refusal)}
        for name, one in zip(result.names, result.evaluations, strict=True)
        for case in one.failed if case.refusal is not None
    ]  # fmt: skip


def _definitions(result: Comparison) -> list[tuple[str, str]]:
    return [
        ("Difference", "second minus first, the mean over the cases that count, with its "
                       f"{LEVEL:.0%} BCa bootstrap interval over patients ({RESAMPLES} resamples, "
                       f"seed {SEED})"),
        ("p", "Wilcoxon's signed-rank test, two-sided, zeros by Pratt, on the mean difference of "
              "each patient; p (Holm) is corrected for all pairs and labels of one score"),
        ("Right nothing", "where both masks are empty for one model and another found something, "
                          "the right answer is worth an overlap of 1 and a distance of 0; where "
                          "all are empty the case does not count"),
        ("Rank of means", "mean over the cases, then ranked; the interval is that of "
                          f"{RANK_RESAMPLES} resamples of the patients"),
        ("Mean rank", "ranked in each case, then the mean; tau is Kendall's, of both orders"),
        *[one for one in definitions(result.evaluations[0].options) if one[0] != "Mean"],
    ]  # fmt: skip


def _content(result: Comparison) -> dict[str, Any]:
    cases = shared_cases(result.evaluations)
    pairs = list(combinations(range(len(result.names)), 2))
    return {
        "title": f"Comparison of {', '.join(result.names)}",
        "subtitle": f"{len(cases)} cases that every model was judged on.",
        "names": result.names,
        "failed": _not_compared(result),
        "lacking": result.lacking,
        "pairs": [_pair(result, one, two) for one, two in pairs],
        "scores": [{"key": score, "title": title_of(score), "digits": _digits(score),
                    "falling": score in FALLING,
                    "places": [one for one in result.places if one.score == score]}
                   for score in result.scores],
        "sheets": _sheets(result, pairs[0]),
        "definitions": _definitions(result),
    }  # fmt: skip


def _digits(score: str) -> int:
    return 2 if score in FALLING else 3


def _pair(result: Comparison, first: int, second: int) -> dict[str, Any]:
    mine = [one for one in result.differences if (one.first, one.second) == (first, second)]
    dice = [one for one in mine if one.score == "dice"]
    gaps = result.gaps(first, second)
    losses = [gap for gap in gaps if gap.scores[1] < gap.scores[0]]
    gains = [gap for gap in reversed(gaps) if gap.scores[1] > gap.scores[0]]
    return {
        "first": result.names[first],
        "second": result.names[second],
        "rows": [{"score": title_of(one.score), "digits": _digits(one.score), "name": one.name,
                  "paired": one.paired, "p_holm": one.p_holm} for one in mine],
        "chart": charts.differences(
            [one.name for one in dice],
            np.array([one.paired.difference for one in dice]),
            np.array([one.paired.low for one in dice]),
            np.array([one.paired.high for one in dice]),
            f"Dice, {result.names[second]} − {result.names[first]}",
        ),
        "losses": losses[:LISTED], "gains": gains[:LISTED],
        "lost": len(losses), "gained": len(gains),
    }  # fmt: skip


def _sheets(result: Comparison, pair: tuple[int, int]) -> list[dict[str, str]]:
    """Return both models' pictures of the case that the second lost most, and gained most."""
    gaps = result.gaps(*pair)
    chosen: dict[str, Gap] = {}
    if gaps and gaps[0].scores[1] < gaps[0].scores[0]:
        chosen["Largest loss"] = gaps[0]
    if gaps and gaps[-1].scores[1] > gaps[-1].scores[0]:
        chosen["Largest gain"] = gaps[-1]
    sheets = []
    for what, gap in chosen.items():
        for model, dice in zip(pair, gap.scores, strict=True):
            words = f"{what}, {result.names[model]}: {gap.case}, {gap.name}, Dice {dice:.3f}"
            sheets += overlay(result.evaluations[model], gap.case, words)
    return sheets
