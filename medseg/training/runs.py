"""Finished trainings: which configuration each is of, and which cases it did not see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from medseg.datasets import Dataset
from medseg.errors import ModelRefused, PlanRefused
from medseg.models import ModelPackage, member
from medseg.training.config import CONFIG, TrainingConfig, load_config, on_card
from medseg.training.opening import NOT_OF_IDENTITY, dataset_of, fold_in

NOT_OF_CONFIGURATION = NOT_OF_IDENTITY | {"fold"}
SHORT = 24  # characters of a value that is told with its key


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """The folder of a training: its config, its model, and the cases that it did not see."""

    config: TrainingConfig
    package: ModelPackage
    held_out: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Configuration:
    """Trainings that differ in their fold alone.

    Attributes
    ----------
    name : str
        Of its first run's model, with a number where another configuration has that name.
    runs : tuple of Run
    changes : tuple of str
        Keys that it sets otherwise than the first configuration, with their values where short.
    """

    name: str
    runs: tuple[Run, ...]
    changes: tuple[str, ...] = ()

    @property
    def held_out(self) -> tuple[str, ...]:
        """Every case that one of the runs did not see."""
        return tuple(name for run in self.runs for name in run.held_out)

    def run_for(self, case: str) -> Run:
        """Return the run that did not see a case."""
        return next(run for run in self.runs if case in run.held_out)


def open_runs(
    folders: Sequence[str | Path], data: str | Path | None = None
) -> tuple[Dataset, tuple[Configuration, ...]]:
    """Open the folders of trainings on one data set and sort them by configuration.

    Parameters
    ----------
    folders : sequence of path
        Each as ``medseg train`` wrote it, with ``model`` and ``config.yaml``.
    data : path, optional
        Where the data set lies now; where the first config says when left out.

    Raises
    ------
    PlanRefused
        ``run-incomplete``: no config, or the model is of another one;
        ``fold-missing``: a run held nothing out;
        ``runs-repeated``: two runs of a configuration have the same fold;
        ``labels-differ``: runs are for other labels, or for classes and regions.
    ModelRefused, InputRefused
        A model or the data set is refused.
    """
    configs = [_config(Path(folder), data) for folder in folders]
    dataset = dataset_of(configs[0])
    runs = []
    for number, (folder, config) in enumerate(zip(folders, configs, strict=True), 1):
        held_out = fold_in(dataset, config).held_out
        if not held_out:
            raise PlanRefused("fold-missing", f"Run {number} held no case out: its fold is all",
                              do="Give trainings with a fold")  # fmt: skip
        runs.append(Run(config, _package(Path(folder), config), held_out))
    _check_labels(runs)
    return dataset, _configurations(runs)


def _config(folder: Path, data: str | Path | None) -> TrainingConfig:
    if not (folder / CONFIG).is_file():
        raise PlanRefused(
            "run-incomplete", f"{folder.name} holds no {CONFIG}: it is no finished training",
            do="Give folders that medseg train wrote",
        )  # fmt: skip
    return load_config(folder / CONFIG, data=data)


def _package(folder: Path, config: TrainingConfig) -> ModelPackage:
    """Open the model of a training, which is not that of one before it in the same folder."""
    package = member(folder)
    told = package.card.configuration
    if told and yaml.safe_load(told) != yaml.safe_load(on_card(config)):
        raise PlanRefused(
            "run-incomplete", f"The model in {folder.name} is of an earlier training there than "
            f"its {CONFIG}, and may have seen the cases to score",
            do="Finish the later training with medseg train --resume",
        )  # fmt: skip
    return package


def _check_labels(runs: Sequence[Run]) -> None:
    first = runs[0].package.plan
    for number, run in enumerate(runs[1:], 2):
        plan = run.package.plan
        if (plan.labels, plan.outputs) != (first.labels, first.outputs):
            raise PlanRefused("labels-differ", f"Run {number} is for other labels than run 1",
                              do="Compare trainings for the same labels and outputs"
                              )  # fmt: skip
        if run.package.others:
            raise ModelRefused("package-invalid", f"The model of run {number} is an ensemble")


def _configurations(runs: Sequence[Run]) -> tuple[Configuration, ...]:
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        key = run.config.model_dump_json(exclude=NOT_OF_CONFIGURATION)
        grouped.setdefault(key, []).append(run)
    found: list[Configuration] = []
    for alike in grouped.values():
        folds = [run.config.fold for run in alike]
        if len(set(folds)) < len(folds):
            raise PlanRefused("runs-repeated", f"{alike[0].config.name} has the folds {folds}",
                              do="Give one run of each fold")  # fmt: skip
        name = alike[0].config.name
        same = sum(one.name.split(" (")[0] == name for one in found)
        name = f"{name} ({same + 1})" if same else name
        before, now = (one.model_dump(mode="json", exclude=NOT_OF_CONFIGURATION)
                       for one in (runs[0].config, alike[0].config))  # fmt: skip
        found.append(Configuration(name, tuple(alike), tuple(_changes(before, now))))
    return tuple(found)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield the keys that differ, such as ``plan.patch``, with values that are short."""
    for key in dict.fromkeys((*before, *now)):
        then, value = before.get(key), now.get(key, "left out")
        if isinstance(then, dict) and isinstance(value, dict):
            yield from _changes(then, value, f"{above}{key}.")
        elif then != value:
            yield f"{above}{key} {value}" if len(str(value)) <= SHORT else f"{above}{key}"
