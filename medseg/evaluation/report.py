"""An evaluation as one page for people: tables, charts and pictures, no network, no script."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medseg.errors import MedsegError
from medseg.evaluation import charts
from medseg.evaluation.judging import Judged
from medseg.evaluation.outcome import Evaluation
from medseg.evaluation.placing import Placed, placed
from medseg.evaluation.statistics import LEVEL
from medseg.evaluation.tables import definitions, findings_of
from medseg.exporting.picture import drawn
from medseg.files import whole_file
from medseg.metrics import froc
from medseg.metrics.lesion import FROC_RATES
from medseg.volume import Source, Volume

TEMPLATES = Path(__file__).parent / "templates"
WORST = ("Worst", "Second worst", "Third worst")  # sheets, besides the median and the best case


@dataclass(frozen=True, slots=True)
class Column:
    """One score as a column: its key, its heading, and digits after the point."""

    key: str
    title: str
    digits: int = 3


_MAIN = (Column("dice", "Dice"), Column("hd95_mm", "HD95 mm", 2), Column("assd_mm", "ASSD mm", 2))
_ROWS = (
    Column("dice", "Dice"), Column("iou", "IoU"), Column("sensitivity", "sensitivity"),
    Column("precision", "precision"), Column("volume_ml", "volume ml", 2),
    Column("reference_ml", "reference ml", 2), Column("volume_error", "volume error"),
    Column("hd_mm", "HD mm", 2), Column("hd95_mm", "HD95 mm", 2), Column("assd_mm", "ASSD mm", 2),
    Column("centre_mm", "centres mm", 2),
)  # fmt: skip
_LESIONS = (
    Column("lesion_sensitivity", "sensitivity"), Column("lesion_precision", "precision"),
    Column("lesion_f1", "F1"), Column("lesion_false_positives", "false positives a scan", 2),
    Column("lesion_lesion_dice", "lesion-wise Dice"),
    Column("lesion_panoptic_quality", "panoptic quality"),
)  # fmt: skip


def main_columns(result: Evaluation) -> list[Column]:
    """Return the scores that a short table shows: Dice, HD95, ASSD and the surface Dice."""
    return [*_MAIN, *_surface_dice(result)]


def _surface_dice(result: Evaluation) -> list[Column]:
    return [Column(f"nsd_{mm:g}mm", f"NSD {mm:g} mm") for mm in result.options.tolerances_mm]


def write_report(path: Path, result: Evaluation) -> None:
    """Write the page, whole or not at all."""
    content = _content(result)
    write_page(path, "evaluation.html.j2", content)


def write_page(path: Path, template: str, content: Mapping[str, Any]) -> None:
    """Fill one of the templates, everything escaped, and write it."""
    import jinja2

    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    page = pages.get_template(template).render(infinity=math.inf, level=round(100 * LEVEL),
                                               **content)  # fmt: skip
    with whole_file(path) as aside:
        aside.write_text(page, encoding="utf-8")


def _content(result: Evaluation) -> dict[str, Any]:
    cases, done = len(result.cases), len(result.done)
    labels = result.summaries()
    people = len({case.patient for case in result.done})
    rows = [{"case": case.case, **{key: getattr(row, key) for key in ("name", "outcome", "scores")}}
            for case in result.done for row in case.rows]  # fmt: skip
    sheets = _sheets(result)
    return {
        "title": f"Evaluation of {cases} case{'s' * (cases != 1)}",
        "subtitle": f"{done} of {cases} cases have scores, {len(labels)} labels.",
        "people": f"{people} patients" if people != done else f"{done} cases",
        "cases": result.cases,
        "failed": [{"case": case.case, "why": str(case.refusal), "code": case.refusal.code}
                   for case in result.failed if case.refusal is not None],
        "labels": labels,
        "columns": main_columns(result),
        "lesion_columns": _LESIONS if result.options.lesions else (),
        "lesion_words": dict(definitions(result.options)).get("Lesions", ""),
        "group_name": result.by,
        "groups": [{"name": group, "labels": result.summaries(group),
                    "cases": sum(case.group == group for case in result.done)}
                   for group in result.groups],
        "charts": _charts(result),
        "sheets": sheets,
        "sheets_words": "By mean Dice over the labels of a case. Filled: prediction. "
                        "White outline: reference.",
        "definitions": definitions(result.options),
        "findings": findings_of(result),
        "rows": sorted(rows, key=lambda row: _worst_first(row["scores"])),
        "row_columns": [*_ROWS, *_surface_dice(result)],
    }  # fmt: skip


def _worst_first(scores: Mapping[str, float]) -> tuple[bool, float]:
    return (math.isnan(scores["dice"]), scores["dice"])


def _charts(result: Evaluation) -> list[dict[str, str]]:
    if not result.done:
        return []
    names = [name for _, name in result.labels]
    values = [value for value, _ in result.labels]

    scored = [np.array([case.row(value).outcome == "scored" for case in result.done])
              for value in values]  # fmt: skip

    def spread(column: Column) -> dict[str, str]:
        share = column.digits == 3  # else a distance: one to an empty mask would squeeze the rest
        of_labels = [result.values(value, column.key) for value in values]
        shown = of_labels if share else [
            one[held] for one, held in zip(of_labels, scored, strict=True)
        ]  # fmt: skip
        drawn, counted = (sum(int(np.isfinite(one).sum()) for one in some)
                          for some in (shown, of_labels))  # fmt: skip
        more = f", without {counted - drawn} misses and false alarms" if drawn < counted else ""
        return {"svg": charts.boxes(names, shown, column.title, 1.0 if share else None),
                "caption": f"{column.title}: {drawn} values{more}. Box: quartiles; orange: median; "
                           "diamond: mean; whiskers: within 1.5 boxes."}  # fmt: skip

    told = [spread(column) for column in main_columns(result)]
    truth, found = ([result.values(value, key) for value in values]
                    for key in ("reference_ml", "volume_ml"))  # fmt: skip
    held = [one + other > 0 for one, other in zip(truth, found, strict=True)]  # not both empty
    truth, found = ([one[some] for one, some in zip(side, held, strict=True)]
                    for side in (truth, found))  # fmt: skip
    more = f" The first {charts.PANELS} of {len(names)} labels." if (
        len(names) > charts.PANELS) else ""  # fmt: skip
    told.append({"svg": charts.volumes(names, truth, found),
                  "caption": "Volumes (Bland-Altman): mean difference and 1.96 standard "
                             f"deviations about it.{more}"})  # fmt: skip
    return [*told, *_calibration(result), *_froc(result)]


def _calibration(result: Evaluation) -> list[dict[str, str]]:
    measured = [case.calibration for case in result.done if case.calibration is not None]
    if not measured:
        return []
    weight = np.sum([one.voxels for one in measured], axis=0)
    confidence, accuracy = (
        np.nansum([getattr(one, name) * one.voxels for one in measured], axis=0)
        / np.maximum(weight, 1)
        for name in ("confidence", "accuracy")
    )
    ece = float(np.mean([one.ece for one in measured]))
    return [{"svg": charts.reliability(confidence, accuracy, weight),
             "caption": f"Reliability of the probabilities in {len(measured)} cases, near the "
                        f"foreground; expected calibration error {ece:.3f} (mean of cases)."
             }]  # fmt: skip


def _froc(result: Evaluation) -> list[dict[str, str]]:
    """Return the free-response curve of each label whose lesions have scores."""
    curves = []
    for value, name in result.labels:
        found = [case.row(value).lesions for case in result.done]
        scored = [one for one in found if one is not None and one.scores is not None]
        if not scored or not any(len(one.truth_ml) for one in scored):
            continue
        curve = froc(scored)
        rates = ", ".join(f"{rate:g}" for rate in FROC_RATES)
        curves.append({
            "svg": charts.free_response(curve.false_positives, curve.sensitivity),
            "caption": f"FROC of {name} in {len(scored)} cases; mean sensitivity at {rates} "
                       f"false positives a scan: {curve.at().mean():.3f}.",
        })  # fmt: skip
    return curves


def _sheets(result: Evaluation) -> list[dict[str, str]]:
    """Return pictures of the worst, the median and the best cases, read again one by one."""
    return [
        sheet
        for place, case, dice in chosen_cases(result.done)
        for sheet in overlay(result, case.case, f"{place}: {case.case}, mean Dice {dice:.3f}")
    ]


def overlay(result: Evaluation, case: str, caption: str) -> list[dict[str, str]]:
    """Return the picture of one case with its caption; none if its files have gone."""
    pair = next(pair for pair in result.pairs if pair.case == case)
    options = result.options
    try:
        both = placed(pair, options.labels, resample=options.resample, scan=True,
                      empty_prediction=options.missing_as_empty, ignore=options.ignore
                      )  # fmt: skip
    except (MedsegError, OSError, MemoryError):
        return []  # it was read a moment ago
    if both.image is None:
        caption += " (no scan was given)"
    return [{"caption": caption, "png": _png(both, case)}]


def _png(both: Placed, case: str) -> str:
    geometry = both.reference.geometry
    nothing = np.zeros(geometry.shape, np.float32)
    scan = both.image or Volume(nothing, geometry, source=Source(case))
    stream = io.BytesIO()
    drawn(scan, both.prediction, both.reference).save(stream, format="PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def chosen_cases(cases: Sequence[Judged]) -> list[tuple[str, Judged, float]]:
    """Return the worst, the median and the best cases by mean Dice, and what each is called.

    A case in which no label counts is not among them.
    """
    ranked = []
    for case in cases:
        dice = np.array([row.scores["dice"] for row in case.rows])
        if not np.isnan(dice).all():
            ranked.append((float(np.nanmean(dice)), case))
    ranked.sort(key=lambda one: (one[0], one[1].case))
    last = len(ranked) - 1
    places = {last: "Best", last // 2: "Median", **dict(enumerate(WORST))}
    places = {n: word for n, word in places.items() if 0 <= n <= last}
    return [(places[n], ranked[n][1], ranked[n][0]) for n in sorted(places)]
