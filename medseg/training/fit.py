"""From a config to trained weights, and on to a model package."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medseg.augmentation import recipe
from medseg.augmentation.sides import class_pairs, mirroring, side_axis
from medseg.datasets import Dataset, Fold, open_dataset, split
from medseg.datasets.statistics import foreground_window
from medseg.datasets.store import StoredCase, store_cases
from medseg.errors import EngineFailed, PlanRefused
from medseg.files import discard_parts, make_folder
from medseg.findings import Finding
from medseg.inference.machine import cores
from medseg.labels import LabelSet
from medseg.networks.loading import dtype_policy, load_keras
from medseg.plan import Channel, Clip, Network, Plan, ZScore
from medseg.training.config import ChannelConfig, TrainingConfig, write_config
from medseg.training.devices import check_batch, gpus, make_repeatable, shared_among
from medseg.training.precision import has_gpu, policy_name
from medseg.training.progress import Progress, silent

if TYPE_CHECKING:
    from medseg.training.checkpoint import Done
    from medseg.training.schedule import Clock

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
UNENDING = 1_000_000  # epochs, where the clock ends a training
# settings that a resumed training may change
NOT_OF_IDENTITY = {
    "dataset",
    "prepared",
    "card",
    "checkpoint_epochs",
    "track",
    "patience",
    "devices",
}


@dataclass(frozen=True, slots=True)
class Training:
    """What a training works on once its config has met its data set."""

    config: TrainingConfig
    plan: Plan
    dataset: Dataset
    fold: Fold
    findings: tuple[Finding, ...] = ()

    @property
    def identity(self) -> str:
        """Hash of what a checkpoint must share with the training that resumes it."""
        told = self.config.model_dump_json(exclude=NOT_OF_IDENTITY)
        return hashlib.sha256((told + self.plan.hash + repr(self.fold)).encode()).hexdigest()


def open_training(config: TrainingConfig) -> Training:
    """Bring config and data set together: labels, fold, and the plan with its statistics.

    Raises
    ------
    InputRefused
        The data set is refused, see :func:`medseg.datasets.open_dataset`.
    PlanRefused
        ``labels-differ``: config and data set name other values; ``channels-differ``;
        ``pairs-invalid``.
    """
    dataset = dataset_of(config)
    fold = fold_in(dataset, config)
    if len(dataset.channels) != len(config.plan.channels):
        raise PlanRefused(
            "channels-differ",
            f"The config has {len(config.plan.channels)} channels, "
            f"{dataset.name} has {len(dataset.channels)}",
        )
    labels = _labels(config, dataset)
    train = [case for case in dataset.cases if case.name in set(fold.train)]
    channels = []
    for number, told in enumerate(config.plan.channels):
        how = _normalisation(told)
        if how is None:
            how = foreground_window(train, labels, number, config.seed,
                                    config.skip_refused, dataset.ignore)  # fmt: skip
        channels.append(Channel(name=told.name, modality=told.modality, normalisation=how))
    regions = config.plan.outputs == "regions"
    arguments = {
        "channels": len(channels),
        "classes": len(labels.regions) if regions else labels.classes,
        **config.plan.network_arguments(),
    }
    mirrored = mirroring(
        labels, config.plan.orientation, config.plan.mirror_axes, config.plan.patch, config.pairs
    )
    plan = Plan(
        orientation=config.plan.orientation,
        spacing=config.plan.spacing,
        channels=tuple(channels),
        patch=config.plan.patch,
        network=Network(name=config.plan.network, arguments=arguments),
        labels=labels,
        mirror_axes=mirrored.axes,
        swap=mirrored.swap,
        outputs=config.plan.outputs,
    )
    return Training(config, plan, dataset, fold, mirrored.findings)


def dataset_of(config: TrainingConfig) -> Dataset:
    """Open the data set of a config, with the ignore value that the config names.

    A layout that knows none, such as the Decathlon's, lists it among its labels.
    """
    dataset = open_dataset(config.dataset)
    if config.ignore is None:
        return dataset
    labels = tuple(label for label in dataset.labels if label.value != config.ignore)
    return replace(dataset, labels=LabelSet(labels), ignore=config.ignore)


def fold_in(dataset: Dataset, config: TrainingConfig) -> Fold:
    """Return which cases of its data set a config trains on, and which it holds out."""
    if config.fold == "all":
        return Fold(tuple(sorted(case.name for case in dataset.cases)), ())
    return split(dataset, config.fold, config.folds, config.split_seed)


def _labels(config: TrainingConfig, dataset: Dataset) -> LabelSet:
    """Return the config's labels, or the data set's where it gives none."""
    if config.labels is None:
        return dataset.labels
    labels = LabelSet(config.labels)
    if labels.values != dataset.labels.values:
        raise PlanRefused(
            "labels-differ",
            f"The config names label values {labels.values[1:]}, "
            f"{dataset.name} has {dataset.labels.values[1:]}",
        )
    return labels


def _normalisation(told: ChannelConfig) -> Clip | ZScore | None:
    """Return how a channel is normalised, or None when a window has to be measured."""
    if isinstance(told.normalisation, Clip | ZScore):
        return told.normalisation
    is_ct = "CT" in (told.modality.upper(), told.name.upper())
    if told.normalisation == "clip" or (told.normalisation == "auto" and is_ct):
        return None
    return ZScore()


def fit(
    training: Training,
    out: Path,
    *,
    resume: bool = False,
    callbacks: Sequence[Any] = (),
    progress: Progress = silent,
) -> tuple[Any, float]:
    """Train the network of a training: ``keras.Model.fit`` on patches of its stored cases.

    Parameters
    ----------
    training : Training
    out : Path
        Folder for ``metrics.csv``, ``progress.png``, ``checkpoint.safetensors`` and the prepared
        cases.
    resume : bool
        Go on from the checkpoint in ``out``, if there is one.
    callbacks : sequence of keras.callbacks.Callback
        Of your own, called after medseg's.
    progress : callable

    Returns
    -------
    keras.Model
        The trained network in float32, finest head only, with averaged weights if asked for.
    float
        Minutes that fitting took, those before a resume included.

    Raises
    ------
    PlanRefused
        ``training-there``: ``out`` holds a training and ``resume`` is false. ``batch-uneven``,
        ``tracker-missing``.
    EngineFailed
        ``loss-diverged``: the loss became NaN or infinite.
    ModelRefused
        ``checkpoint-invalid``.
    """
    config = training.config
    if (out / CHECKPOINT).exists() and not resume:
        raise PlanRefused(
            "training-there", f"{out.name} holds a training already",
            do="Go on with it by --resume, or train into another folder",
        )  # fmt: skip
    load_keras()
    make_folder(out)
    discard_parts(out)
    write_config(config, out / "config.yaml")
    cases = _stored(training, prepared_folder(training, out), progress)
    with dtype_policy(policy_name(config.precision)):
        model, minutes = _fitted(training, cases, out, callbacks, progress)
    return _without_side_heads(training, model), minutes


def prepared_folder(training: Training, out: Path) -> Path:
    """Return where the prepared cases lie: in the store that the config names, else in ``out``."""
    return training.config.prepared or out / "prepared"


def _stored(training: Training, folder: Path, progress: Progress) -> dict[str, StoredCase]:
    """Return the prepared cases by name: those that train, and those held out."""
    stored = store_cases(
        training.dataset.cases,
        training.plan,
        folder,
        lambda done, total: progress("prepare", done, total, ""),
        ignore=training.dataset.ignore,
        workers=cores(),
        skip_refused=training.config.skip_refused,
        anew=training.config.prepared is None,  # those in ``out`` are nobody else's
    )
    return {case.name: case for case in stored}


def _fitted(
    training: Training,
    cases: Mapping[str, StoredCase],
    out: Path,
    callbacks: Sequence[Any],
    progress: Progress,
) -> tuple[Any, float]:
    """Build, compile and fit; return the model as it was trained, and the minutes."""
    import keras

    from medseg.training.checkpoint import Done, load_checkpoint
    from medseg.training.schedule import Clock

    config, path = training.config, out / CHECKPOINT
    if config.deterministic:
        make_repeatable()
    keras.utils.set_random_seed(config.seed)
    devices = gpus() if config.devices == "all" else []
    check_batch(config.batch, len(devices))
    with shared_among(devices):
        model = _compiled(training)
    done = load_checkpoint(path, model, training.identity) if path.exists() else Done()
    clock = Clock(done.minutes)
    patches = partial(_patches, training, cases, _output_scales(model, training.plan), done.epochs)
    scored = config.validation_steps > 0 and bool(training.fold.held_out)
    model.fit(
        patches(),
        validation_data=patches(held_out=True) if scored else None,
        epochs=_last_epoch(config, done),
        initial_epoch=done.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[*_callbacks(training, out, clock, done.epochs, progress), *callbacks],
    )
    if not all(keras.ops.all(keras.ops.isfinite(weight)) for weight in model.weights):
        raise EngineFailed(
            "loss-diverged", "The loss became NaN or infinite",
            do="Lower optimizer.rate, or set precision: f32",
        )  # fmt: skip
    return model, clock.minutes


def _compiled(training: Training) -> Any:
    """Return the network of a training, compiled with its optimizer, losses and metric."""
    from medseg import networks
    from medseg.losses import loss
    from medseg.networks.backbone_unet import load_encoder
    from medseg.training.metrics import Dice
    from medseg.training.schedule import optimizer_of

    config, plan = training.config, training.plan
    model = networks.build(
        plan.network.name, **plan.network.arguments, deep_supervision=config.deep_supervision
    )
    if config.plan.encoder_weights is not None:
        load_encoder(model, plan.network.arguments, config.plan.encoder_weights)
    outputs = len(model.outputs)
    scored = plan.output_channels + (plan.outputs == "regions")  # which have no background
    model.compile(
        optimizer=optimizer_of(config),
        loss=[loss(config.loss.name, **config.loss.arguments) for _ in range(outputs)],
        loss_weights=_output_weights(outputs),
        metrics=[[Dice(scored)], *([] for _ in range(outputs - 1))],
        jit_compile=has_gpu(),  # on a CPU, XLA is eight times slower
    )
    return model


def _patches(
    training: Training,
    cases: Mapping[str, StoredCase],
    scales: Sequence[tuple[int, ...]],
    first_epoch: int,
    *,
    held_out: bool = False,
) -> Any:
    """Return the patches to learn from, or those of held-out cases, which are not augmented."""
    from medseg.training.sampler import Patches, truth_table

    config, plan, fold = training.config, training.plan, training.fold
    names = fold.held_out if held_out else fold.train
    chosen = [cases[name] for name in names if name in cases]
    return Patches(
        chosen,
        recipe(
            "none" if held_out else config.augmentation,
            plan.spacing,
            plan.patch,
            plan.mirror_axes,
            side_axis=side_axis(plan.orientation),
            swap=class_pairs(plan),
            channels=len(plan.channels),
        ),
        plan.patch,
        batch=config.batch,
        steps=config.validation_steps if held_out else config.steps,
        foreground=config.foreground,
        scales=scales,
        seed=config.seed + held_out,  # other draws than those of training
        first_epoch=first_epoch,
        table=truth_table(chosen[0].classes.dtype, plan),
    )  # fmt: skip


def _callbacks(
    training: Training, out: Path, clock: Clock, before: int, progress: Progress
) -> list[Any]:
    """Return what watches a training, in the order that they depend on one another."""
    import keras

    from medseg.training.checkpoint import Checkpoint
    from medseg.training.journal import Journal
    from medseg.training.patience import Patience
    from medseg.training.reporter import Reporter
    from medseg.training.schedule import Pace
    from medseg.training.tracking import trackers

    config = training.config
    journal = Journal(out, config.batch, clock, before)
    watching: list[Any] = [Pace(config, clock), keras.callbacks.TerminateOnNaN()]
    if config.optimizer.average:
        watching.append(keras.callbacks.SwapEMAWeights())  # the averaged ones are scored
    watching.append(journal)
    if config.patience:
        watching.append(Patience(config.patience, journal, out / "best.safetensors"))
    checkpoint = Checkpoint(out / CHECKPOINT, config.checkpoint_epochs, training.identity, clock)
    reporter = Reporter(config, journal, clock, progress)
    return [*watching, checkpoint, *trackers(config, out), reporter]


def _last_epoch(config: TrainingConfig, done: Done) -> int:
    """Return the number of epochs to come to; the clock ends what has a time budget."""
    if config.time_budget is None:
        return config.epochs
    return UNENDING if done.minutes < config.time_budget else done.epochs


def _output_scales(model: Any, plan: Plan) -> list[tuple[int, ...]]:
    """Return by how much each output is coarser than the patch, along each axis."""
    patch = plan.patch[1:] if plan.patch[0] == 1 else plan.patch
    shapes = model.compute_output_shape((1, *patch, len(plan.channels)))
    shapes = shapes if isinstance(shapes, list) else [shapes]
    return [tuple(np.divide(patch, shape[1:-1]).astype(int).tolist()) for shape in shapes]


def _output_weights(outputs: int) -> list[float]:
    """Return loss weights that halve with each coarser output and sum to one."""
    weights = [0.5**n for n in range(outputs)]
    return [weight / sum(weights) for weight in weights]


def _without_side_heads(training: Training, model: Any) -> Any:
    """Return a float32 network with the trained weights and the finest head alone."""
    from medseg import networks

    plan = training.plan
    plain = networks.build(plan.network.name, **plan.network.arguments)
    trained = {variable.path: variable for variable in model.variables}
    for variable in plain.variables:
        variable.assign(trained[variable.path].value)
    return plain
