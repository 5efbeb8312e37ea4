"""Training a network: ``keras.Model.fit`` on what a data set is made of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medseg.errors import EngineFailed, PlanRefused
from medseg.files import discard_parts, make_folder
from medseg.networks.loading import dtype_policy, load_keras
from medseg.plan import Plan
from medseg.training.config import CONFIG, TrainingConfig, write_config
from medseg.training.devices import check_batch, gpus, make_repeatable, shared_among
from medseg.training.feeding import PREPARED, Stored, batches, prepared_folder, stored
from medseg.training.opening import Training
from medseg.training.precision import has_gpu, policy_name
from medseg.training.progress import Progress, silent

if TYPE_CHECKING:
    from medseg.training.checkpoint import Done
    from medseg.training.schedule import Clock

CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"
UNENDING = 1_000_000  # epochs, where the clock ends a training


def fit(
    training: Training,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
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
    overwrite : bool
        Start anew where ``out`` holds a training.
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
        ``training-there``: ``out`` holds a training and neither is asked for. ``batch-uneven``,
        ``tracker-missing``.
    EngineFailed
        ``loss-diverged``: the loss became NaN or infinite.
    ModelRefused
        ``checkpoint-invalid``.
    """
    config = training.config
    _enter(training, out, resume, overwrite)
    load_keras()
    with dtype_policy(policy_name(config.precision)):
        model = _compiled(training)  # refuses what cannot be built before anything is prepared
    make_folder(out)
    discard_parts(out)
    if not (resume and (out / CHECKPOINT).exists()):
        for name in (CHECKPOINT, BEST):
            (out / name).unlink(missing_ok=True)
    write_config(config, out / CONFIG)
    cases = stored(training, prepared_folder(training, out), progress)
    minutes = _fitted(model, training, cases, out, callbacks, progress)
    return _without_side_heads(training, model), minutes


def _enter(training: Training, out: Path, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that holds something else, before anything in it is changed."""
    there = (out / CHECKPOINT).exists()
    if there and not (resume or overwrite):
        raise PlanRefused(
            "training-there", f"{out.name} holds a training already",
            do="Go on with it by --resume, start anew by --overwrite, or train into another folder",
        )  # fmt: skip
    if there and resume:
        load_keras()
        from medseg.training.checkpoint import read_done

        read_done(out / CHECKPOINT, training.identity)
    ours = (out / CONFIG).exists() or training.config.prepared is not None
    if (out / PREPARED).exists() and not ours:
        raise PlanRefused(
            "training-there", f"{out.name} holds a folder {PREPARED} that no training has made",
            do="Name it as prepared in the config if it is a store, or train into another folder",
        )  # fmt: skip


def _fitted(
    model: Any,
    training: Training,
    cases: tuple[Stored, Stored | None],
    out: Path,
    callbacks: Sequence[Any],
    progress: Progress,
) -> float:
    """Fit a compiled network from where its checkpoint stands; return the minutes in all."""
    import keras

    from medseg.training.checkpoint import Done, load_checkpoint
    from medseg.training.schedule import Clock

    config, path = training.config, out / CHECKPOINT
    done = load_checkpoint(path, model, training.identity) if path.exists() else Done()
    clock = Clock(done.minutes)
    train, held_out = cases
    drawn = partial(
        batches, training, scales=_output_scales(model, training), first_epoch=done.epochs
    )
    history = model.fit(
        drawn(train),
        validation_data=None if held_out is None else drawn(held_out, held_out=True),
        epochs=_last_epoch(config, done),
        initial_epoch=done.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[*_callbacks(training, out, clock, done.epochs, progress), *callbacks],
    )
    losses = history.history.get("loss", [0.0])
    # with loss scaling, or the best epoch's weights back, those are finite all the same
    weights_finite = all(keras.ops.all(keras.ops.isfinite(one)) for one in model.weights)
    if not (weights_finite and np.isfinite(losses[-1])):
        raise EngineFailed(
            "loss-diverged", "The loss became NaN or infinite",
            do="Lower optimizer.rate, or set precision: f32",
        )  # fmt: skip
    return clock.minutes


def _compiled(training: Training) -> Any:
    """Return the network of a training, compiled with its optimizer, losses and metric."""
    import keras

    from medseg import networks
    from medseg.losses import loss
    from medseg.networks.backbone_unet import load_encoder
    from medseg.training.schedule import optimizer_of
    from medseg.training.tracking import check_trackers

    config, plan = training.config, training.plan
    if config.deterministic:
        make_repeatable()
    keras.utils.set_random_seed(config.seed)
    devices = gpus() if config.devices == "all" else []
    check_batch(config.batch, len(devices))
    check_trackers(config)
    heads = {"deep_supervision": True} if config.deep_supervision else {}
    with shared_among(devices):
        model = networks.build(plan.network.name, **plan.network.arguments, **heads)
        if config.plan.encoder_weights is not None:
            load_encoder(model, plan.network.arguments, config.plan.encoder_weights)
        outputs = len(model.outputs)
        model.compile(
            optimizer=optimizer_of(config),
            loss=[loss(config.loss.name, **config.loss.arguments)] * outputs,
            loss_weights=_output_weights(outputs),
            metrics=[[_score(plan)], *([] for _ in range(outputs - 1))],
            jit_compile=has_gpu(),  # on a CPU, XLA is eight times slower
        )
        # variables that are made in the first step would have it traced twice
        model.optimizer.build(model.trainable_variables)
    return model


def _score(plan: Plan) -> Any:
    """Return the metric that is watched on held-out cases while training."""
    import keras

    from medseg.training.metrics import Dice

    if plan.task == "classify":
        return keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    return Dice(plan.output_channels + (plan.outputs == "regions"))  # which have no background


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
        watching.append(Patience(config.patience, journal, out / BEST))
    checkpoint = Checkpoint(out / CHECKPOINT, config.checkpoint_epochs, training.identity, clock)
    reporter = Reporter(config, journal, clock, progress)
    return [*watching, checkpoint, *trackers(config, out, resumed=before > 0), reporter]


def _last_epoch(config: TrainingConfig, done: Done) -> int:
    """Return the number of epochs to come to; the clock ends what has a time budget."""
    if config.time_budget is None:
        return config.epochs
    return UNENDING if done.minutes < config.time_budget else done.epochs


def _output_scales(model: Any, training: Training) -> list[tuple[int, ...]]:
    """Return by how much each output is coarser than the patch; nothing for whole images."""
    plan = training.plan
    if plan.task == "classify":
        return []
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
    # not all variables: the state of a dropout's seeds is of training alone
    trained = {variable.path: variable for variable in model.weights}
    for variable in plain.weights:
        variable.assign(trained[variable.path].value)
    return plain
