"""``medseg demo textbook``: the convolutional network of the textbooks, stage by stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medseg.errors import InputRefused

if TYPE_CHECKING:
    from medseg.datasets.images import LabelledImages
    from medseg.training.textbook import Figures

SAMPLE = "breastmnist.npz"  # in data_samples


def run(data: Path | None, out: Path, seed: int, samples: Path, as_json: bool) -> int:
    """Read, show, train and judge; return the exit status."""
    from medseg.cli.console import print_json
    from medseg.cli.progress import Report
    from medseg.datasets.images import open_images
    from medseg.inference.classifier import Classifier
    from medseg.networks.build import build
    from medseg.networks.loading import load_keras
    from medseg.training import textbook, train
    from medseg.training.judging import judge
    from medseg.training.opening import open_training

    path = data or samples / SAMPLE
    if data is None and not path.exists():
        raise InputRefused("path-missing", "The sample images come with a clone of the repository",
                           do="Give an .npz of MedMNIST by --data")  # fmt: skip
    names, positive = textbook.classes_of(path)
    images = open_images(path, names)
    config = textbook.textbook_config(images, path, seed, raw=False)
    load_keras()
    network = open_training(config).plan.network
    stages = textbook.stages(build(network.name, **network.arguments))
    if not as_json:
        _show_start(images, stages)
    with Report() as report:
        package = train(
            config, out, overwrite=True,
            progress=lambda stage, done, total, note: report.show(stage, done, total, note),
        )  # fmt: skip
    test = judge(Classifier.load(package.path, engine="keras"), images.part("test"))
    assert package.calibration is not None
    found = textbook.figures(test, positive, package.calibration.temperature)
    picture = out / "textbook.png"
    textbook.draw(picture, images, out / "metrics.csv", test, positive)
    if as_json:
        print_json({"status": 0, "auc": found.auc, "auc_95": [found.low, found.high],
                    "sensitivity": found.sensitivity, "specificity": found.specificity,
                    "ece": found.ece, "confusion": found.confusion.tolist(),
                    "classes": list(images.classes), "picture": str(picture)})  # fmt: skip
        return 0
    _show_end(images, found, textbook.lessons(package, test, positive))
    click.echo(f"\nLook at {picture}; the model is in {package.path}. Research use only.")
    return 0


def _show_start(images: LabelledImages, stages: list[tuple[str, str, str, int]]) -> None:
    """Print how many images there are, and what each layer makes of one."""
    terminal, table = _table("images", *images.classes)
    for part in ("train", "val", "test"):
        table.add_row(part, *map(str, images.counts(images.part(part)).values()))
    terminal.print(table)
    terminal.print()
    terminal, table = _table("layer", "kind", "makes", "parameters")
    for name, kind, shape, parameters in stages:
        table.add_row(name, kind, shape, f"{parameters:,}")
    terminal.print(table)


def _show_end(images: LabelledImages, found: Figures, lessons: list[str]) -> None:
    """Print the figures of the test part, the confusion table and the lessons."""
    terminal, table = _table("test part", "")
    table.add_row("AUC, 95 % interval", f"{found.auc:.3f} ({found.low:.3f} to {found.high:.3f})")
    table.add_row("sensitivity", f"{found.sensitivity:.3f}")
    table.add_row("specificity", f"{found.specificity:.3f}")
    table.add_row("calibration error", f"{found.ece:.3f}")
    terminal.print()
    terminal.print(table)
    terminal.print()
    terminal, table = _table("truly", *(f"called {name}" for name in images.classes))
    for name, row in zip(images.classes, found.confusion.tolist(), strict=True):
        table.add_row(name, *map(str, row))
    terminal.print(table)
    terminal.print()
    for line in lessons:
        terminal.print(f"- {line}")


def _table(first: str, *others: str) -> tuple[Any, Any]:
    from rich.table import Table

    from medseg.cli.console import console

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return console(), table
