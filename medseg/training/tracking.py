"""Trackers that a lab may already use: TensorBoard and MLflow, in the training's own folder."""

from __future__ import annotations

import os
import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras

from medseg.errors import PlanRefused
from medseg.training.config import TrainingConfig

LONGEST = 500  # characters of a parameter that every MLflow store takes


def check_trackers(config: TrainingConfig) -> None:
    """Refuse a config that names a tracker which is not installed.

    Raises
    ------
    PlanRefused
        ``tracker-missing``.
    """
    for name in config.track:
        if find_spec(name) is None:
            raise PlanRefused(
                "tracker-missing", f"track names {name}, which is not installed",
                do=f"pip install {name}, or leave it out of track",
            )  # fmt: skip


def trackers(config: TrainingConfig, out: Path, *, resumed: bool) -> list[keras.callbacks.Callback]:
    """Return the callbacks of the trackers that a config names.

    A resumed training goes on with the curves that it began.
    """
    made = {
        "tensorboard": lambda: _tensorboard(out / "tensorboard", resumed=resumed),
        "mlflow": lambda: MLflow(config, out / "mlflow", resumed=resumed),
    }
    return [made[name]() for name in config.track]


def _tensorboard(folder: Path, *, resumed: bool) -> keras.callbacks.Callback:
    if not resumed:
        shutil.rmtree(folder, ignore_errors=True)  # an overwritten training's curves
    return keras.callbacks.TensorBoard(str(folder), write_graph=False)


class MLflow(keras.callbacks.Callback):
    """Log the config's plain values and each epoch's numbers to an MLflow store on disk.

    Nothing leaves the machine: the store is an SQLite file, whatever tracking server the
    environment names, and MLflow's own telemetry is switched off.

    Parameters
    ----------
    config : TrainingConfig
    folder : Path
        Of the store; made if missing.
    resumed : bool
        Go on with the newest run in the store, if there is one, in place of a new run.
    """

    def __init__(self, config: TrainingConfig, folder: Path, *, resumed: bool) -> None:
        super().__init__()
        self.config = config
        self.folder = folder
        self.resumed = resumed

    def on_train_begin(self, logs=None) -> None:
        """Open a run and log what was asked for, or go on with the one before."""
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        self.folder.mkdir(parents=True, exist_ok=True)
        mlflow: Any = import_module("mlflow")
        self.client = mlflow.MlflowClient(f"sqlite:///{(self.folder / 'mlflow.db').resolve()}")
        experiment = self._experiment()
        before = self.client.search_runs([experiment], max_results=1) if self.resumed else []
        if before:  # newest first
            self.run = before[0].info.run_id
            self.client.update_run(self.run, status="RUNNING")
            return
        self.run = self.client.create_run(experiment).info.run_id
        for key, value in self.config.model_dump(mode="json", exclude={"card", "dataset"}).items():
            self.client.log_param(self.run, key, str(value)[:LONGEST])

    def _experiment(self) -> str:
        """Return the id of the experiment with the model's name, made if missing."""
        found = self.client.get_experiment_by_name(self.config.name)
        if found:
            return found.experiment_id
        place = (self.folder / "artifacts").resolve().as_uri()
        return self.client.create_experiment(self.config.name, artifact_location=place)

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Log the numbers of an epoch."""
        for key, value in (logs or {}).items():
            self.client.log_metric(self.run, key, float(value), step=epoch + 1)

    def on_train_end(self, logs=None) -> None:
        """Close the run."""
        self.client.set_terminated(self.run)
