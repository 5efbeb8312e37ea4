"""Ending a training that no longer gets better, with the weights that were best."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np
from safetensors.numpy import load_file, save_file

from medseg.files import whole_file
from medseg.training.journal import Journal


class Patience(keras.callbacks.Callback):
    """Stop after some epochs without a better smoothed pseudo-Dice; restore the best weights.

    Follows :class:`~medseg.training.journal.Journal` in the list of callbacks, whose epochs it
    reads: what is best so far follows from them, and a resumed training needs nothing more than
    ``best.safetensors`` beside ``metrics.csv``.

    Parameters
    ----------
    epochs : int
        Without a better one, before training ends.
    journal : Journal
    path : Path
        For the best weights.
    """

    def __init__(self, epochs: int, journal: Journal, path: Path) -> None:
        super().__init__()
        self.patience = epochs
        self.journal = journal
        self.path = path

    @property
    def best(self) -> int:
        """Number of the best epoch so far; 0 when none was measured."""
        measured = [e for e in self.journal.epochs if not math.isnan(e.smoothed_score)]
        # of equals the first, so that a plateau ends
        return max(measured, key=lambda e: (e.smoothed_score, -e.epoch)).epoch if measured else 0

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Keep the weights when they are the best; stop when they have not been for long."""
        if self.best == epoch + 1:
            with whole_file(self.path) as aside:
                save_file(self._weights(), aside)
        elif epoch + 1 - self.best >= self.patience:
            self.model.stop_training = True

    def on_train_end(self, logs=None) -> None:
        """Give the model its best weights."""
        if not self.path.exists():
            return
        best = load_file(self.path)
        for variable in self.model.trainable_variables:
            variable.assign(best[variable.path])

    def _weights(self) -> dict[str, np.ndarray]:
        """Return the averaged weights where the optimizer keeps them, else the weights."""
        optimizer = self.model.optimizer
        inner = getattr(optimizer, "inner_optimizer", optimizer)  # of a loss-scale optimizer
        variables = self.model.trainable_variables
        values = inner._model_variables_moving_average if inner.use_ema else variables
        return {
            variable.path: np.array(keras.ops.convert_to_numpy(value), order="C")
            for variable, value in zip(variables, values, strict=True)
        }
