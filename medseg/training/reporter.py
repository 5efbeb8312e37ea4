"""A running training as one line of progress."""

from __future__ import annotations

import keras

from medseg.training.config import TrainingConfig
from medseg.training.journal import Journal
from medseg.training.progress import Progress
from medseg.training.schedule import Clock


class Reporter(keras.callbacks.Callback):
    """Report steps, or seconds of a time budget, with loss, pseudo-Dice and speed."""

    def __init__(
        self, config: TrainingConfig, journal: Journal, clock: Clock, progress: Progress
    ) -> None:
        super().__init__()
        self.config = config
        self.journal = journal
        self.clock = clock
        self.progress = progress
        self.first = 0  # step of the epoch that runs

    def on_epoch_begin(self, epoch, logs=None) -> None:
        """Count the steps before this epoch."""
        self.first = epoch * self.config.steps

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Report a step."""
        step = self.first + batch + 1
        note = f"loss {(logs or {}).get('loss', float('nan')):.3f}"
        if self.journal.epochs:
            last = self.journal.epochs[-1]
            note += f", score {last.smoothed_score:.3f}, {last.patches_a_second:.1f} patches/s"
        budget = self.config.time_budget
        if budget is None:
            self.progress("train", step, self.config.total_steps, note)
        else:
            seconds = min(self.clock.minutes, budget) * 60
            self.progress("train", int(seconds), int(budget * 60), f"s, step {step}, {note}")
