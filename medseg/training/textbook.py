"""The convolutional network of the textbooks on small real images, told stage by stage."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medseg.datasets.images import LabelledImages
from medseg.errors import InputRefused
from medseg.files import whole_file
from medseg.inference.classifier import softmax
from medseg.metrics import classification as metrics
from medseg.models import ModelPackage
from medseg.plan import Clip
from medseg.training.config import TrainingConfig
from medseg.training.judging import Judged

CLASSES = {  # of MedMNIST's numbers, and which of them is to be found
    "breastmnist": (("malignant", "normal or benign"), 0),
    "pneumoniamnist": (("normal", "pneumonia"), 1),
}
RAW = Clip(low=0, high=255, mean=0, deviation=1)  # grey levels as they are
LARGE = 2000  # images: from there on fewer passes teach as much
FLATTERED = 0.02  # of AUC, above which the val part is called kinder than the test part
MEDMNIST = {
    "name": "MedMNIST v2",
    "licence": "CC BY 4.0",
    "attribution": "Yang et al., Scientific Data 10, 41 (2023)",
}


def textbook_config(dataset: LabelledImages, path: Path, seed: int, raw: bool) -> TrainingConfig:
    """Return the training of the textbooks: momentum, cross-entropy, no augmentation.

    Parameters
    ----------
    dataset : LabelledImages
        Of images of one size with one channel.
    path : Path
        Where it lies.
    seed : int
    raw : bool
        Feed grey levels as they are, to see what happens without standardisation.

    Raises
    ------
    InputRefused
        ``classes-differ``: other than two classes; ``dataset-invalid``: a part is missing.
    """
    if len(dataset.classes) != 2:
        raise InputRefused(
            "classes-differ", f"The textbook tells two classes apart, not {len(dataset.classes)}",
            do="Train with medseg train, or give breastmnist.npz or pneumoniamnist.npz",
        )  # fmt: skip
    if not (dataset.is_split and dataset.part("test")):
        raise InputRefused("dataset-invalid", "The textbook needs train, val and test parts",
                           do="Give an .npz in MedMNIST's layout")  # fmt: skip
    columns, rows = dataset.cases[0].read().array.shape[:2]
    return TrainingConfig.model_validate({
        "name": f"textbook-{dataset.name}".lower(),
        "task": "classify",
        "dataset": path.resolve(),
        "classes": dataset.classes,
        "plan": {
            "orientation": "SPL",  # rows from the top, columns from the left
            "spacing": (1, 1, 1),
            "patch": (1, rows, columns),
            "channels": [{"name": "grey", "normalisation": RAW if raw else "zscore"}],
            "network": "textbook_cnn",
            "features": (32, 64),
        },
        "augmentation": "none",
        "batch": 32,
        "epochs": 20 if len(dataset.part("train")) < LARGE else 6,
        "optimizer": {"name": "sgd", "rate": 0.01, "momentum": 0.9, "weight_decay": 1e-4},
        "schedule": {"name": "cosine"},
        "precision": "f32",
        "seed": seed,
        "card": {
            "intended_use": "Shows how a convolutional network learns; it is of no other use.",
            "modality": "Images of 28 x 28 pixels",
            "training_data": [MEDMNIST],
            "limits": ["28 x 28 pixels show nothing that a diagnosis could rest on."],
        },
    })  # fmt: skip


def classes_of(path: Path) -> tuple[tuple[str, ...] | None, int]:
    """Return the class names of a MedMNIST file that is known, and which class to find."""
    names, positive = CLASSES.get(path.stem.lower(), (None, 1))
    return names, positive


def stages(network: Any) -> list[tuple[str, str, str, int]]:
    """Return of each layer its name, its kind, the shape it makes and its parameters."""
    rows = []
    for layer in network.layers:
        shape = " x ".join(str(size) for size in layer.output.shape[1:])
        rows.append((layer.name, type(layer).__name__, shape, layer.count_params()))
    return rows


@dataclass(frozen=True, eq=False, slots=True)
class Figures:
    """How well two classes are told apart on cases of known truth.

    Attributes
    ----------
    auc, low, high : float
        Area under the ROC curve and its 95 % interval (DeLong).
    sensitivity, specificity, accuracy, ece : float
        Where the more probable class is taken.
    confusion : (2, 2) array
        True class by predicted class.
    """

    auc: float
    low: float
    high: float
    sensitivity: float
    specificity: float
    accuracy: float
    ece: float
    confusion: np.ndarray


def figures(judged: Judged, positive: int, temperature: float = 1.0) -> Figures:
    """Return the figures of a classifier of two classes."""
    shares = softmax(judged.logits / temperature)
    truth, said = judged.labels, shares.argmax(axis=1)
    table = metrics.confusion_table(truth, said, 2)
    recognised = np.diag(table) / table.sum(axis=1)
    low, high = metrics.delong_interval(truth == positive, shares[:, positive])
    return Figures(
        auc=metrics.roc_auc(truth == positive, shares[:, positive]),
        low=low,
        high=high,
        sensitivity=float(recognised[positive]),
        specificity=float(recognised[1 - positive]),
        accuracy=float((said == truth).mean()),
        ece=metrics.expected_calibration_error(truth, shares),
        confusion=table,
    )


def lessons(package: ModelPackage, test: Judged, positive: int) -> list[str]:
    """Return what these data teach beyond the network, with the numbers of this very run."""
    raw = figures(test, positive)
    assert package.calibration is not None
    calibrated = figures(test, positive, package.calibration.temperature)
    of_val = package.card.results[0].figures.get("AUC", float("nan"))
    flattered = of_val > raw.auc + FLATTERED
    comparison = (
        "what is near the training flatters (medseg check finds copies)."
        if flattered else "so few images leave it open, see the interval."
    )  # fmt: skip
    larger = max(np.bincount(test.labels)) / len(test.labels)
    never = np.flatnonzero(raw.confusion.sum(axis=0) == 0)
    lines = [
        f"Accuracy is {raw.accuracy:.3f}; always saying the larger class has {larger:.3f}. So "
        "look at sensitivity, specificity and the counts.",
        f"AUC on the val part {of_val:.3f}, on the test part {raw.auc:.3f}: {comparison}",
        f"Calibrated on the val part (temperature {package.calibration.temperature:.2f}) the "
        f"calibration error of the test part goes from {raw.ece:.3f} to {calibrated.ece:.3f}: "
        "what is fitted to one set need not hold on another.",
    ]
    if len(never):
        lines.insert(0, f"THE NETWORK COLLAPSED: it never says {test.classes[never[0]]}. "
                     "Standardise the input, or train with another seed.")  # fmt: skip
    return lines


def draw(path: Path, dataset: LabelledImages, log: Path, judged: Judged, positive: int) -> None:
    """Draw examples of both classes, the loss of each epoch and the ROC curve as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    parts: Any = figure.subfigures(1, 3, width_ratios=(1.25, 1, 1))
    left, middle, right = parts
    for row, of_class in enumerate(dataset.classes):
        cases = [case for case in dataset.part("train") if case.label == row][:4]
        for column, case in enumerate(cases):
            axes = left.add_subplot(2, 4, 4 * row + column + 1)
            axes.imshow(case.read().array[:, :, 0].T, cmap="gray")
            axes.set_axis_off()
            if column == 0:
                axes.set_title(of_class, loc="left", fontsize=10)
    with log.open(encoding="utf-8") as stream:
        losses = [float(row["loss"]) for row in csv.DictReader(stream)]
    curve = middle.subplots()
    curve.plot(range(1, len(losses) + 1), losses, color="#0072b2")
    curve.set(title="Training", xlabel="epoch", ylabel="cross-entropy", ylim=(0, None))
    curve.spines[["top", "right"]].set_visible(False)
    score = softmax(judged.logits)[:, positive]
    roc = metrics.roc_curve(judged.labels == positive, score)
    area = right.subplots()
    area.plot(roc.false_positive_rate, roc.sensitivity, color="#0072b2")
    area.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    found = figures(judged, positive)
    area.set(title=f"Test: AUC {found.auc:.2f} ({found.low:.2f} to {found.high:.2f})",
             xlabel="1 - specificity", ylabel=f"sensitivity ({dataset.classes[positive]})",
             aspect="equal")  # fmt: skip
    with whole_file(path) as aside:
        figure.savefig(aside, dpi=120)
