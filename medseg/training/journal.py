"""What a training writes down after each epoch: ``metrics.csv`` and ``progress.png``."""

from __future__ import annotations

import math
import time
from pathlib import Path

import keras

from medseg.training.epochs import Epoch, read_epochs, smoothed, write_epochs
from medseg.training.picture import draw
from medseg.training.schedule import Clock

SCORES = ("dice", "accuracy")  # of held-out patches, and of held-out images
PICTURE_SECONDS = 20.0  # between two drawings: one takes half a second


class Journal(keras.callbacks.Callback):
    """Keep the epochs of a training, and write them where a person can follow.

    Parameters
    ----------
    folder : Path
        For ``metrics.csv``, written after each epoch, and ``progress.png``.
    batch : int
        Patches a step.
    clock : Clock
    before : int
        Epochs of earlier sessions: their rows are read again, later ones were lost and go.
    """

    def __init__(self, folder: Path, batch: int, clock: Clock, before: int = 0) -> None:
        super().__init__()
        self.table, self.picture = folder / "metrics.csv", folder / "progress.png"
        self.batch = batch
        self.clock = clock
        self.epochs = [row for row in read_epochs(self.table) if row.epoch <= before]
        self.steps = 0
        self.seconds = math.nan
        self.drawn = -math.inf

    def on_epoch_begin(self, epoch, logs=None) -> None:
        """Start the watch."""
        self.began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Count the steps and their time; validation is not in it."""
        self.steps = batch + 1
        self.seconds = time.monotonic() - self.began

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Add a row, and draw when the last drawing is old."""
        measured = logs or {}
        # with several heads Keras puts the name of the finest before the metric's
        score = next((value for name, value in measured.items()
                     if name.startswith("val_") and name.endswith(SCORES)), math.nan)  # fmt: skip
        before = self.epochs[-1].smoothed_score if self.epochs else math.nan
        row = Epoch(
            epoch + 1,
            self.clock.minutes,
            measured.get("loss", math.nan),
            measured.get("val_loss", math.nan),
            score,
            score if math.isnan(before) else smoothed(before, score),
            float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            self.steps * self.batch / self.seconds,
        )
        self.epochs.append(row)
        write_epochs(self.table, self.epochs)
        if time.monotonic() - self.drawn > PICTURE_SECONDS:
            self._draw()

    def on_train_end(self, logs=None) -> None:
        """Draw the whole training."""
        if self.epochs:
            self._draw()

    def _draw(self) -> None:
        draw(self.epochs, self.picture)
        self.drawn = time.monotonic()
