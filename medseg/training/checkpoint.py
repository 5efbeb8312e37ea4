"""Checkpoints from which a training goes on exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from medseg.errors import ModelRefused
from medseg.files import whole_file
from medseg.training.schedule import Clock


@dataclass(frozen=True, slots=True)
class Done:
    """How far a training had come: epochs, and minutes of fitting."""

    epochs: int = 0
    minutes: float = 0.0


class Checkpoint(keras.callbacks.Callback):
    """Write weights, optimizer state and epoch every few epochs and after the last.

    Parameters
    ----------
    path : Path
        One file; the newest checkpoint replaces the one before, whole or not at all.
    every : int
        Epochs between two.
    identity : str
        What the training is; a checkpoint of another one is not resumed.
    clock : Clock
    """

    def __init__(self, path: Path, every: int, identity: str, clock: Clock) -> None:
        super().__init__()
        self.path = path
        self.every = every
        self.identity = identity
        self.clock = clock

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Write when it is time; never weights that have become NaN."""
        if not np.isfinite((logs or {}).get("loss", 0.0)):
            return
        epochs = epoch + 1
        last = epochs == self.params["epochs"] or self.model.stop_training
        if epochs % self.every == 0 or last:
            save_checkpoint(self.path, self.model, Done(epochs, self.clock.minutes), self.identity)


def save_checkpoint(path: Path, model: keras.Model, done: Done, identity: str) -> None:
    """Write a model's variables and its optimizer's, and how far it has come."""
    arrays = {name: keras.ops.convert_to_numpy(v.value) for name, v in _variables(model).items()}
    state: dict[str, np.ndarray] = {}
    model.optimizer.save_own_variables(state)
    arrays |= {f"optimizer/{key}": np.asarray(value) for key, value in state.items()}
    metadata = {
        "epochs": str(done.epochs),
        "minutes": f"{done.minutes:.3f}",
        "identity": identity,
    }
    arrays = {name: np.array(array, order="C") for name, array in arrays.items()}
    with whole_file(path) as aside:
        aside.write_bytes(save(arrays, metadata))  # its own writer hides a full disk


def load_checkpoint(path: Path, model: keras.Model, identity: str) -> Done:
    """Restore a compiled model and its optimizer; return how far they had come.

    Raises
    ------
    ModelRefused
        ``checkpoint-invalid``: damaged, of another training, or of a GPU's precision where this
        machine has none, or the other way round.
    """
    done = read_done(path, identity)
    with safe_open(path, "numpy") as opened:
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    model.optimizer.build(model.trainable_variables)
    here: dict[str, np.ndarray] = {}
    model.optimizer.save_own_variables(here)
    variables, prefix = _variables(model), "optimizer/"
    # where names differ Keras would go on without the optimizer's state, with a warning
    if arrays.keys() != variables.keys() | {prefix + name for name in here}:
        raise ModelRefused(
            "checkpoint-invalid", f"{path.name} holds the state of another kind of training step",
            do="Set precision to what it was begun with, or start anew by --overwrite",
        )  # fmt: skip
    for name, variable in variables.items():
        variable.assign(arrays[name])
    model.optimizer.load_own_variables({name: arrays[prefix + name] for name in here})
    return done


def read_done(path: Path, identity: str) -> Done:
    """Return how far a checkpoint had come, without its arrays.

    Raises
    ------
    ModelRefused
        ``checkpoint-invalid``: damaged, or of another training.
    """
    try:
        with safe_open(path, "numpy") as opened:
            metadata = opened.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ModelRefused(
            "checkpoint-invalid", f"{path.name} cannot be read", do="Start anew by --overwrite"
        ) from error
    if metadata.get("identity") != identity:
        raise ModelRefused(
            "checkpoint-invalid", f"{path.name} belongs to another training",
            do="Resume with the config, options and data that it was begun with, train into "
            "another folder, or start anew by --overwrite",
        )  # fmt: skip
    return Done(int(metadata["epochs"]), float(metadata["minutes"]))


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Return weights by their path, and the rest by number.

    The path of a dropout's seed counts the dropouts that this process ever built.
    """
    weights = {id(variable): f"model/{variable.path}" for variable in model.weights}
    return {
        weights.get(id(variable), f"state/{number}"): variable
        for number, variable in enumerate(model.variables)
    }
