"""What a classifier's word is worth: its figures on held-out cases, and its calibration."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medseg.datasets.image_store import StoredImages, store_images
from medseg.datasets.images import LabelledImage, LabelledImages
from medseg.files import make_folder, whole_file
from medseg.inference.classifier import Classifier, softmax
from medseg.metrics import classification as metrics
from medseg.metrics.calibration import fit_temperature
from medseg.metrics.conformal import conformal_threshold, prediction_sets
from medseg.models import Calibration, Measurement, ModelPackage, domain_of
from medseg.training.feeding import prepared_folder
from medseg.training.opening import Training
from medseg.training.progress import Progress
from medseg.training.whole_images import cases_of, dealt

ALPHA = 0.1  # prediction sets hold the truth in nine of ten cases
CROSS_FITS = 5  # parts of the held-out cases that judge a calibration fitted on the others


def judged(
    training: Training, package: ModelPackage, out: Path, progress: Progress
) -> tuple[tuple[Measurement, ...], Calibration | None]:
    """Judge a package on held-out cases and on the data set's test part; calibrate on the former.

    Writes ``validation/`` and ``test/`` into ``out``, with the calibrated probabilities.
    """
    dataset, classifier = training.dataset, Classifier.load(package.path, engine="keras")
    assert isinstance(dataset, LabelledImages)

    def report(done: int, total: int) -> None:
        progress("validate", done, total, "")

    if not training.fold.held_out:
        return (), None
    held_out = judge(classifier, cases_of(dataset, training.fold.held_out), report)
    words = f"{training.held_out}, {len(held_out.cases)} cases that training did not see"
    train = cases_of(dataset, training.fold.train)
    calibration = calibrated(
        held_out, words, store_images(train, training.plan, prepared_folder(training, out))
    )
    results = [cross_measured(held_out, f"{words}; each calibrated on others of them",
                              training.config.seed)]  # fmt: skip
    write_predictions(make_folder(out / "validation"), held_out, calibration)
    if test := dataset.part("test"):
        of_test = judge(classifier, test, report)
        results.append(measured(of_test, calibration, f"test part of {dataset.name}, "
                                f"{len(test)} cases, calibrated on the held-out ones"))  # fmt: skip
        write_predictions(make_folder(out / "test"), of_test, calibration)
    return tuple(results), calibration


@dataclass(frozen=True, eq=False, slots=True)
class Judged:
    """What a classifier says of cases whose class is known.

    Attributes
    ----------
    cases : tuple of LabelledImage
    logits : (N, C) float64 array
    classes : tuple of str
    """

    cases: tuple[LabelledImage, ...]
    logits: np.ndarray
    classes: tuple[str, ...]

    @property
    def labels(self) -> np.ndarray:
        """The true class numbers."""
        return np.array([case.label for case in self.cases])

    def only(self, chosen: np.ndarray) -> Judged:
        """Return the cases where ``chosen`` holds."""
        cases = tuple(case for case, keep in zip(self.cases, chosen, strict=True) if keep)
        return Judged(cases, self.logits[chosen], self.classes)


def judge(
    classifier: Classifier,
    cases: Sequence[LabelledImage],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Judged:
    """Classify each case as a user would: from its file, with the finished package."""
    logits = []
    for done, case in enumerate(cases):
        progress(done, len(cases))
        logits.append(classifier.logits(case.read()))
    progress(len(cases), len(cases))
    return Judged(tuple(cases), np.array(logits, np.float64), classifier.package.plan.classes)


def calibrated(held_out: Judged, words: str, stored: StoredImages | None = None) -> Calibration:
    """Return temperature and threshold fitted on held-out cases, and the training's domain."""
    temperature = fit_temperature(held_out.logits, held_out.labels)
    shares = softmax(held_out.logits / temperature)
    return Calibration(
        temperature=temperature,
        alpha=ALPHA,
        threshold=conformal_threshold(shares, held_out.labels, ALPHA),
        measured_on=words,
        cases=len(held_out.cases),
        domain=None if stored is None else domain_of(stored.appearances),
    )


def measured(judged: Judged, calibration: Calibration, words: str) -> Measurement:
    """Return the figures of cases that neither trained nor calibrated."""
    shares = softmax(judged.logits / calibration.temperature)
    sets = prediction_sets(shares, calibration.threshold)
    return _measurement(judged, shares, sets, words)


def cross_measured(held_out: Judged, words: str, seed: int) -> Measurement:
    """Return the figures of the very cases a calibration is fitted on, none judging itself.

    Groups are dealt into parts; what is said of one part is calibrated on the others.
    """
    parts = dealt(held_out.cases, CROSS_FITS, seed)
    part = np.array([parts[case.group] for case in held_out.cases])
    shares = np.zeros(held_out.logits.shape)
    sets = np.zeros(held_out.logits.shape, bool)
    for number in set(part.tolist()):
        inside, others = part == number, held_out.only(part != number)
        if not others.cases:
            others = held_out
        fitted = calibrated(others, words)
        shares[inside] = softmax(held_out.logits[inside] / fitted.temperature)
        sets[inside] = prediction_sets(shares[inside], fitted.threshold)
    return _measurement(held_out, shares, sets, words)


def _measurement(judged: Judged, shares: np.ndarray, sets: np.ndarray, words: str) -> Measurement:
    labels = judged.labels
    said = shares.argmax(axis=1)
    ranks = softmax(judged.logits)  # parts that were calibrated apart cannot be ranked together
    figures: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    if len(judged.classes) == 2:
        figures["AUC"] = metrics.roc_auc(labels, ranks[:, 1])
        low, high = metrics.delong_interval(labels, ranks[:, 1])
        intervals = {"AUC": (float(low), float(high))} if math.isfinite(low + high) else {}
    else:
        figures["AUC, macro"] = metrics.macro_auc(labels, ranks)
        areas = metrics.one_vs_rest_auc(labels, ranks)
        figures |= {f"AUC, {name}": area for name, area in zip(judged.classes, areas, strict=True)}
    figures["balanced accuracy"] = metrics.balanced_accuracy(labels, said)
    for number, name in enumerate(judged.classes):
        of_class = labels == number
        if of_class.any():
            figures[f"recognised, {name}"] = float((said == number)[of_class].mean())
    figures["Brier"] = metrics.brier(labels, shares)
    figures["ECE"] = metrics.expected_calibration_error(labels, shares)
    figures["truth in its set"] = float(sets[np.arange(len(labels)), labels].mean())
    figures["sets of one class"] = float((sets.sum(axis=1) == 1).mean())
    finite = {name: float(value) for name, value in figures.items() if math.isfinite(value)}
    return Measurement(measured_on=words, figures=finite, intervals=intervals)


def write_predictions(folder: Path, judged: Judged, calibration: Calibration) -> None:
    """Write ``predictions.csv`` and ``references.csv`` as ``medseg evaluate`` takes them."""
    shares = softmax(judged.logits / calibration.temperature)
    _write(folder / "predictions.csv", ["case", *judged.classes],
           ([case.name, *(f"{share:.6f}" for share in row)]
            for case, row in zip(judged.cases, shares, strict=True)))  # fmt: skip
    _write(folder / "references.csv", ["case", "label"],
           ([case.name, judged.classes[case.label]] for case in judged.cases))  # fmt: skip


def _write(path: Path, header: list[str], rows: Any) -> None:
    with whole_file(path) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(header)
        table.writerows(rows)
