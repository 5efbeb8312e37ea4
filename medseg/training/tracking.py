"""Trackers that a lab may already use: TensorBoard and MLflow, in the training's own folder."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras

from medseg.errors import PlanRefused
from medseg.training.config import TrainingConfig


def trackers(config: TrainingConfig, out: Path) -> list[keras.callbacks.Callback]:
    """Return the callbacks of the trackers that a config names.

    Raises
    ------
    PlanRefused
        ``tracker-missing``: one is not installed.
    """
    for name in config.track:
        if find_spec(name) is None:
            raise PlanRefused(
                "tracker-missing", f"track names {name}, which is not installed",
                do=f"pip install {name}, or leave it out of track",
            )  # fmt: skip
    made = {"tensorboard": _tensorboard, "mlflow": _mlflow}
    return [made[name](config, out) for name in config.track]


def _tensorboard(config: TrainingConfig, out: Path) -> keras.callbacks.Callback:
    return keras.callbacks.TensorBoard(str(out / "tensorboard"), write_graph=False)


def _mlflow(config: TrainingConfig, out: Path) -> keras.callbacks.Callback:
    return MLflow(config, out / "mlflow")


class MLflow(keras.callbacks.Callback):
    """Log the config's plain values and each epoch's numbers to an MLflow store on disk.

    Nothing leaves the machine: the store is an SQLite file, whatever tracking server the
    environment names, and MLflow's own telemetry is switched off.
    """

    def __init__(self, config: TrainingConfig, folder: Path) -> None:
        super().__init__()
        self.config = config
        self.folder = folder

    def on_train_begin(self, logs=None) -> None:
        """Open a run and log what was asked for."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self.folder.mkdir(parents=True, exist_ok=True)
        mlflow: Any = import_module("mlflow")
        uri = f"sqlite:///{(self.folder / 'mlflow.db').resolve()}"
        self.client = mlflow.MlflowClient(uri)
        found = self.client.get_experiment_by_name(self.config.name)
        experiment = found.experiment_id if found else self.client.create_experiment(
            self.config.name, artifact_location=(self.folder / "artifacts").resolve().as_uri()
        )  # fmt: skip
        self.run = self.client.create_run(experiment).info.run_id
        for key, value in self.config.model_dump(mode="json", exclude={"card", "dataset"}).items():
            self.client.log_param(self.run, key, str(value)[:500])  # its limit

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Log the numbers of an epoch."""
        for key, value in (logs or {}).items():
            self.client.log_metric(self.run, key, float(value), step=epoch + 1)

    def on_train_end(self, logs=None) -> None:
        """Close the run."""
        self.client.set_terminated(self.run)
