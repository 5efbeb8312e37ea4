"""The whole training: fit, pack, validate, and write what came out on the card."""

from __future__ import annotations

import logging
import platform
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medseg.datasets import Dataset
from medseg.datasets.store import shapes_of
from medseg.inference import Segmenter
from medseg.models import Card, Measurement, ModelPackage, write_package
from medseg.models.weights import weights_of
from medseg.training.config import TrainingConfig, on_card
from medseg.training.feeding import prepared_folder
from medseg.training.fit import fit
from medseg.training.judging import judged
from medseg.training.opening import Training, open_training
from medseg.training.progress import Progress, silent
from medseg.training.validate import measurement, validate, write_scores

log = logging.getLogger(__name__)


def train(
    config: TrainingConfig,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[Any] = (),
    progress: Progress = silent,
) -> ModelPackage:
    """Train a model and write it as a package.

    Writes into ``out``: ``model/`` (the package), ``validation.csv`` (Dice of every held-out
    case, worst first), ``metrics.csv`` and ``progress.png`` (each epoch), ``config.yaml`` (what
    was asked for), ``checkpoint.safetensors`` and, while it runs, ``prepared/``. A classifier has
    ``validation/`` and ``test/`` in place of the table, each with ``predictions.csv`` and
    ``references.csv``; temperature, prediction sets and domain are fitted to the held-out cases
    and kept in the package.

    Parameters
    ----------
    config : TrainingConfig
        See :func:`medseg.training.load_config`.
    out : str or Path
        Folder, made if missing.
    resume : bool
        Go on from the checkpoint in ``out``. The result is that of a straight run, bit for bit
        where ``config.deterministic`` is set and on the same machine.
    overwrite : bool
        Start anew where ``out`` holds a training; without either it is refused.
    callbacks : sequence of keras.callbacks.Callback
        Of your own.
    progress : callable
        Called with stage, steps done, all steps and a note.

    Raises
    ------
    InputRefused, PlanRefused
        The data set or the config is refused, before anything is computed.
    EngineFailed
        ``loss-diverged``.
    """
    out = Path(out)
    training = open_training(config)
    for finding in training.findings:
        log.warning("%s", finding)
    model, minutes = fit(
        training, out, resume=resume, overwrite=overwrite, callbacks=callbacks, progress=progress
    )
    pack = partial(
        write_package,
        out / "model",
        name=config.name,
        version=config.version,
        plan=training.plan,
        weights=weights_of(model),
    )
    card = _card(training, minutes, prepared_folder(training, out))
    package = pack(card=card)
    if config.task == "classify":
        results, calibration = judged(training, package, out, progress)
        package = pack(card=card.model_copy(update={"results": results}), calibration=calibration)
    elif training.fold.held_out:
        measured = _measured(training, package, out, progress)
        package = pack(card=card.model_copy(update={"results": (measured,) if measured else ()}))
    if config.prepared is None:
        shutil.rmtree(prepared_folder(training, out), ignore_errors=True)
    return package


def _measured(
    training: Training, package: ModelPackage, out: Path, progress: Progress
) -> Measurement | None:
    """Segment every held-out case, write its scores, and return their means."""
    config, dataset = training.config, training.dataset
    assert isinstance(dataset, Dataset)
    names = set(training.fold.held_out)
    cases = [case for case in dataset.cases if case.name in names]
    scores = validate(
        Segmenter.load(package.path),
        cases,
        lambda done, total: progress("validate", done, total, ""),
        ignore=dataset.ignore,
        skip_refused=config.skip_refused,
    )
    write_scores(out / "validation.csv", scores)
    scored = len({score.case for score in scores})
    words = f"fold {config.fold} of {config.folds}, {scored} cases that training did not see"
    return measurement(words, scores, {case.name: case.patient for case in cases})


def _card(training: Training, minutes: float, prepared: Path) -> Card:
    """Return the card with everything but results."""
    config = training.config
    return Card(
        intended_use=config.card.intended_use,
        modality=config.card.modality,
        population=config.card.population,
        training_data=config.card.training_data,
        limits=config.card.limits,
        configuration=on_card(config),
        minutes=round(minutes, 1),
        trained_on=_machine(),
        fold=None if config.fold == "all" else config.fold,
        training_extent_mm=None
        if config.task == "classify"
        else _median_extent(training, prepared),
    )


def _machine() -> str:
    """Say what kind of machine this is, without naming it."""
    import keras

    from medseg.inference.machine import cores
    from medseg.training.precision import has_gpu

    kind = "a GPU" if has_gpu() else f"{cores()} CPU cores"
    return f"{kind} ({platform.machine()}), Keras {keras.version()} on {keras.backend.backend()}"


def _median_extent(training: Training, prepared: Path) -> tuple[float, float, float]:
    """Return the median size of the prepared cases along the plan's axes, in mm."""
    i, j, k = (np.median(shapes_of(prepared), axis=0) * training.plan.spacing).tolist()
    return i, j, k
