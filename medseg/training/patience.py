"""Ending a training that no longer gets better, with the weights that were best."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from medseg.files import whole_file
from medseg.training.journal import Journal


class Patience(keras.callbacks.Callback):
    """Stop after some epochs without a better smoothed pseudo-Dice; restore the best weights.

    Follows :class:`~medseg.training.journal.Journal` in the list of callbacks, whose epochs it
    reads: what is best so far follows from them, and a resumed training needs nothing more than
    ``best.safetensors`` beside ``metrics.csv``. Where that file holds another epoch (patience is
    new, or the process was killed before its checkpoint), counting begins with the resume.

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
        self.after = 0  # the epoch after which epochs count

    @property
    def best(self) -> int:
        """Number of the best epoch so far; 0 when none was measured."""
        measured = [e for e in self.journal.epochs
                    if e.epoch > self.after and not math.isnan(e.smoothed_score)]  # fmt: skip
        # of equals the first, so that a plateau ends
        return max(measured, key=lambda e: (e.smoothed_score, -e.epoch)).epoch if measured else 0

    def on_train_begin(self, logs=None) -> None:
        """See which epochs count."""
        if self.journal.epochs and self._kept() != self.best:
            self.after = self.journal.epochs[-1].epoch

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Keep the weights when they are the best; stop when they have not been for long."""
        if self.best == epoch + 1:
            with whole_file(self.path) as aside:
                aside.write_bytes(save(self._weights(), {"epoch": str(self.best)}))
        elif epoch + 1 - max(self.best, self.after) >= self.patience:
            self.model.stop_training = True

    def on_train_end(self, logs=None) -> None:
        """Give the model its best weights."""
        if not self.best or self._kept() != self.best:
            return
        best = load_file(self.path)
        for variable in self.model.weights:
            variable.assign(best[variable.path])

    def _kept(self) -> int:
        """Return the epoch whose weights are kept; 0 for none."""
        try:
            with safe_open(self.path, "numpy") as opened:
                return int((opened.metadata() or {}).get("epoch", 0))
        except (OSError, SafetensorError):
            return 0

    def _weights(self) -> dict[str, np.ndarray]:
        """Return the weights, averaged ones where the optimizer keeps them."""
        optimizer = self.model.optimizer
        inner = getattr(optimizer, "inner_optimizer", optimizer)  # of a loss-scale optimizer
        values = {variable.path: variable for variable in self.model.weights}
        if inner.use_ema:
            averaged = inner._model_variables_moving_average
            values |= {variable.path: mean for variable, mean in
                       zip(self.model.trainable_variables, averaged, strict=True)}  # fmt: skip
        return {path: np.array(keras.ops.convert_to_numpy(value), order="C")
                for path, value in values.items()}  # fmt: skip
