"""One case judged: its masks placed, every score of every label, and calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medseg.errors import InputRefused, MedsegError
from medseg.evaluation.labelling import named
from medseg.evaluation.match import Pair
from medseg.evaluation.placing import SAME_GRID_MM, Placed, placed
from medseg.findings import Finding
from medseg.geometry import AxisMap, Geometry, Shape, Spacing, axes_towards
from medseg.labels import Label, LabelSet
from medseg.metrics import (
    EMPTY_POLICIES,
    Calibration,
    Detection,
    LesionRule,
    Score,
    calibration,
    detect,
    foreground_band,
    scores,
)
from medseg.metrics.surface import Dialect
from medseg.reading.image_file import ImageFile, raw_values
from medseg.reading.nifti import opened
from medseg.volume import LabelMap

ALWAYS_MM = 1.0  # a tolerance of the surface Dice that every table has


@dataclass(frozen=True, slots=True)
class Options:
    """How cases are judged.

    Attributes
    ----------
    labels : LabelSet or None
        What the values mean, regions too; None takes what the files say.
    tolerances_mm : tuple of float
        Of the normalised surface Dice; 1 mm is always among them.
    empty : str
        Policy for empty masks, a name of :data:`medseg.metrics.EMPTY_POLICIES`.
    hd95 : {"medseg", "monai", "medpy"}
        Whose definition of HD95.
    lesions : LesionRule or None
        Compare lesion by lesion too.
    resample : bool
        Take predictions on another grid, by nearest voxel, instead of refusing them.
    missing_as_empty : bool
        A missing prediction counts as one that found nothing, instead of not at all.
    ignore : int or None
        Value in references of voxels that nobody labelled; what is found there does not count.
        Where they meet a structure, both surfaces end alike. Probabilities are not used then.
    """

    labels: LabelSet | None = None
    tolerances_mm: tuple[float, ...] = (ALWAYS_MM,)
    empty: str = "medseg"
    hd95: Dialect = "medseg"
    lesions: LesionRule | None = None
    resample: bool = False
    missing_as_empty: bool = False
    ignore: int | None = None

    def __post_init__(self) -> None:
        wrong = [one for one in self.tolerances_mm if not 0 <= one < np.inf]
        if wrong:
            raise InputRefused("tolerance-invalid", f"A tolerance of {wrong[0]:g} mm is none",
                               do="Give millimetres from 0 upwards")  # fmt: skip
        if self.empty not in EMPTY_POLICIES:
            raise InputRefused("policy-unknown", f"There is no policy {self.empty!r}",
                               do=f"Choose from {', '.join(EMPTY_POLICIES)}")  # fmt: skip
        tolerances = tuple(sorted({ALWAYS_MM, *self.tolerances_mm}))
        object.__setattr__(self, "tolerances_mm", tolerances)


@dataclass(frozen=True, slots=True)
class Row:
    """One label of one case: which masks were empty, and its scores by column.

    A score that says nothing, or by the policy does not count, is nan. ``lesions`` says which
    lesions match, where that was asked for.
    """

    label: int
    name: str
    outcome: str
    scores: Mapping[str, float]
    lesions: Detection | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Judged:
    """What became of one case.

    Attributes
    ----------
    case, patient : str
    rows : tuple of Row
        One a label and region, in order of their values.
    calibration : Calibration or None
        Where there were probabilities.
    findings : tuple of Finding
    refusal : MedsegError or None
        Why there are no rows.
    shape, spacing_mm : tuples
        Of the grid it was judged on.
    names_told : bool
        The names come from a label file or from DICOM, not from numbering.
    group : str
        The group it is summarised with; empty when there are none.
    """

    case: str
    patient: str
    rows: tuple[Row, ...] = ()
    calibration: Calibration | None = None
    findings: tuple[Finding, ...] = ()
    refusal: MedsegError | None = None
    shape: Shape | tuple[()] = ()
    spacing_mm: Spacing | tuple[()] = ()
    names_told: bool = True
    group: str = ""

    def row(self, label: int) -> Row:
        """Return the row of one label.

        Raises
        ------
        KeyError
            There is none.
        """
        for row in self.rows:
            if row.label == label:
                return row
        raise KeyError(label)


def judge(pair: Pair, options: Options) -> Judged:
    """Read one case and score every label.

    Raises
    ------
    InputRefused
        Why it cannot be judged.
    """
    lacks_prediction = pair.refusal is not None and pair.refusal.code == "prediction-missing"
    if pair.refusal is not None and not (lacks_prediction and options.missing_as_empty):
        raise pair.refusal
    both = placed(pair, options.labels, resample=options.resample,
                  empty_prediction=lacks_prediction, ignore=options.ignore)  # fmt: skip
    rows = _rows(both, options)
    soft, rows, findings = _with_probabilities(pair, both, rows, options)
    return Judged(
        pair.case,
        pair.patient,
        rows,
        soft,
        (*both.findings, *_of_grid(both), *findings),
        shape=both.reference.geometry.shape,
        spacing_mm=both.reference.geometry.spacing,
        names_told=named(both.reference.labels),
    )


def _of_grid(both: Placed) -> tuple[Finding, ...]:
    if not both.reference.geometry.sheared:
        return ()
    words = "The grid is sheared (tilted gantry): distances take its axes for square"
    return (Finding("warning", "sheared", words),)


def _rows(both: Placed, options: Options) -> tuple[Row, ...]:
    truth, predicted = both.reference.array, both.prediction.array
    spacing: Sequence[float] = both.reference.geometry.spacing
    if truth.shape[2] == 1:  # a picture or a single slice: borders are lines, not surfaces
        truth, predicted, spacing = truth[..., 0], predicted[..., 0], spacing[:2]
    rows = _scored(truth, predicted, spacing, both.reference.labels, options)
    grid = both.reference.geometry
    return tuple(_with_true_volumes(row, grid) for row in rows) if grid.sheared else rows


def _with_true_volumes(row: Row, grid: Geometry) -> Row:
    """Correct volumes of a sheared grid: a voxel has less than the product of its sides."""
    share = grid.voxel_mm3 / math.prod(grid.spacing)
    scaled = {name: row.scores[name] * share for name in ("volume_ml", "reference_ml")}
    return replace(row, scores={**row.scores, **scaled})


def _scored(
    truth: np.ndarray,
    predicted: np.ndarray,
    spacing: Sequence[float],
    labels: Sequence[Label] | LabelSet,
    options: Options,
) -> tuple[Row, ...]:
    found = scores(
        truth, predicted, spacing, labels, tolerances_mm=options.tolerances_mm,
        dialect=options.hd95, empty=EMPTY_POLICIES[options.empty], lesions=options.lesions,
    )  # fmt: skip
    return tuple(map(_row, found))


def _row(score: Score) -> Row:
    columns: dict[str, Any] = dict(score.as_row())
    label, name, outcome = (columns.pop(key) for key in ("label", "name", "outcome"))
    told = {key: float(value) for key, value in columns.items()}
    return Row(label, name, outcome, told, score.lesions)


def completed(judged: Sequence[Judged], options: Options) -> tuple[Judged, ...]:
    """Return the cases with a row for every label that any of them has.

    Where labels are those that occur, a case without one of them has two empty masks.
    """
    names: dict[int, tuple[bool, str]] = {}
    for case in judged:
        for row in case.rows:
            names[row.label] = max(names.get(row.label, (False, "")), (case.names_told, row.name))
    labels = [Label(value, name) for value, (_, name) in sorted(names.items())]
    return tuple(one if one.refusal else _with_all(one, labels, options) for one in judged)


def _with_all(case: Judged, labels: Sequence[Label], options: Options) -> Judged:
    held = {row.label: row for row in case.rows}
    absent = [label for label in labels if label.value not in held]
    if absent:
        nothing = np.zeros((1,) * (2 if case.shape[2:] == (1,) else 3), np.uint8)
        rows = _scored(nothing, nothing, (1.0,) * nothing.ndim, absent, options)
        held |= {row.label: row for row in rows}
    rows = tuple(replace(held[label.value], name=label.name) for label in labels)
    return replace(case, rows=rows)


def _with_probabilities(
    pair: Pair, both: Placed, rows: tuple[Row, ...], options: Options
) -> tuple[Calibration | None, tuple[Row, ...], tuple[Finding, ...]]:
    """Measure the probabilities beside a prediction, and score lesions by them.

    A case may do without: why they were not used is a finding.
    """
    if pair.probabilities is None or options.ignore is not None:
        return None, rows, ()
    try:
        soft = _Soft.of(pair.probabilities, both.reference)
        if options.lesions is not None:
            rule = options.lesions
            rows = tuple(_with_lesion_scores(row, both, soft, rule) for row in rows)
        return soft.calibration(both), rows, ()
    except InputRefused as refusal:
        words = f"The probabilities were not used: {refusal.found}"
        return None, rows, (Finding("warning", refusal.code, words),)


@dataclass(frozen=True, eq=False, slots=True)
class _Soft:
    """Class probabilities in a NIfTI file, read one class at a time in the reference's order."""

    image: ImageFile
    moves: AxisMap
    values: tuple[int, ...]  # of the classes, background first

    @classmethod
    def of(cls, path: Path, reference: LabelMap) -> _Soft:
        image = opened(path)
        moves = axes_towards(image.geometry, reference.geometry.orientation)
        if not moves.of_geometry(image.geometry).same_as(reference.geometry, SAME_GRID_MM):
            raise InputRefused("grids-differ", "they do not lie on the reference's grid")
        values = reference.labels.values
        if image.volumes != len(values):
            raise InputRefused("classes-differ", f"they have {image.volumes} classes, the labels "
                                                 f"{len(values)} with background")  # fmt: skip
        return cls(image, moves, values)

    def of_class(self, number: int) -> np.ndarray:
        return self.moves.of_array(raw_values(self.image, number))

    def of_label(self, label: Label) -> np.ndarray:
        """Return the probability of a label, or of a region: the sum of its labels'."""
        group = label.region or (label.value,)
        first, *others = (self.of_class(self.values.index(value)) for value in group)
        return sum(others, first)

    def calibration(self, both: Placed) -> Calibration:
        truth = both.reference.array
        where = foreground_band(truth, both.prediction.array, both.reference.geometry.spacing)
        chosen = [self.of_class(number)[where] for number in range(len(self.values))]
        return calibration(np.stack(chosen), np.searchsorted(self.values, truth[where]))


def _with_lesion_scores(row: Row, both: Placed, soft: _Soft, rule: LesionRule) -> Row:
    label = both.reference.labels[row.label]
    group = label.region or (label.value,)
    truth, predicted = (np.isin(side.array, group) for side in (both.reference, both.prediction))
    found = detect(truth, predicted, both.reference.geometry.spacing, rule,
                   probability=soft.of_label(label))  # fmt: skip
    return replace(row, lesions=found)
