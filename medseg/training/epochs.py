"""What is known of each epoch of a training, and the table ``metrics.csv`` of it."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from medseg.files import whole_file

SMOOTHING = 0.9  # of the pseudo-Dice, as nnU-Net smooths it before it compares


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of a training; nan for what was not measured.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    minutes : float
        Of fitting since the start.
    loss, validation_loss : float
        Mean over the epoch's training patches, and over held-out ones.
    score, smoothed_score : float
        Pseudo-Dice, on held-out patches and not on whole cases, or of a classifier the share of
        held-out images that it gets right; and its moving average.
    rate : float
        Learning rate of the last step.
    patches_a_second : float
    """

    epoch: int
    minutes: float
    loss: float
    validation_loss: float = math.nan
    score: float = math.nan
    smoothed_score: float = math.nan
    rate: float = math.nan
    patches_a_second: float = math.nan


def smoothed(before: float, now: float) -> float:
    """Return the moving average after one more value; a value that is nan leaves it."""
    return before if math.isnan(now) else SMOOTHING * before + (1 - SMOOTHING) * now


def write_epochs(path: Path, epochs: Sequence[Epoch]) -> None:
    """Write one row an epoch."""
    with whole_file(path) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.DictWriter(stream, [one.name for one in fields(Epoch)])
        rows.writeheader()
        rows.writerows({name: f"{value:.9g}" for name, value in asdict(one).items()}
                       for one in epochs)  # fmt: skip


def read_epochs(path: Path) -> list[Epoch]:
    """Return the rows that :func:`write_epochs` wrote; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        rows = [
            {name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)
        ]
    return [Epoch(int(row.pop("epoch")), **row) for row in rows]
