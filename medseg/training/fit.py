"""From a config to trained weights, and on to a model package."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.augmentation import recipe
from medseg.datasets import Dataset, Fold, open_dataset, split
from medseg.datasets.image_store import StoredImages, store_images
from medseg.datasets.images import LabelledImages, open_images
from medseg.datasets.statistics import foreground_window
from medseg.datasets.store import StoredCase, store_cases
from medseg.errors import EngineFailed, PlanRefused
from medseg.files import make_folder
from medseg.inference.machine import cores
from medseg.labels import LabelSet
from medseg.networks.loading import dtype_policy, load_keras
from medseg.plan import Channel, Network, Plan
from medseg.training.config import TrainingConfig
from medseg.training.precision import has_gpu, policy_name
from medseg.training.whole_images import divided, plan_of

log = logging.getLogger(__name__)

_NO_MATTER = {"dataset", "prepared", "card", "checkpoint_epochs"}  # to the weights

Progress = Callable[[str, int, int, str], None]
"""Called with a stage's name, what is done of it, the total, and a note."""


def silent(stage: str, done: int, total: int, note: str) -> None:
    """Report nothing: the progress of who does not ask for one."""


@dataclass(frozen=True, slots=True)
class Training:
    """What a training works on once its config has met its data set.

    ``held_out`` says which cases those are, where the data set and not the fold decides.
    """

    config: TrainingConfig
    plan: Plan
    dataset: Dataset | LabelledImages
    fold: Fold
    held_out: str = ""

    @property
    def identity(self) -> str:
        """Hash of what a checkpoint must share with the training that resumes it."""
        told = self.config.model_dump_json(exclude=_NO_MATTER)
        return hashlib.sha256((told + self.plan.hash + repr(self.fold)).encode()).hexdigest()


def open_training(config: TrainingConfig) -> Training:
    """Bring config and data set together: labels, fold, and the plan with its statistics.

    Raises
    ------
    InputRefused
        The data set is refused, see :func:`medseg.datasets.open_dataset`.
    PlanRefused
        ``labels-differ``: config and data set name other values; ``channels-differ``.
    """
    if config.task == "classify":
        return _open_classification(config)
    dataset = open_dataset(config.dataset)
    names = [case.name for case in dataset.cases]
    if config.fold == "all":
        fold = Fold(tuple(sorted(names)), ())
    else:
        fold = split(dataset, config.fold, config.folds, config.seed)
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
        how = told.fixed or foreground_window(
            train, labels, number, config.seed, config.skip_refused, dataset.ignore
        )
        channels.append(Channel(name=told.name, modality=told.modality, normalisation=how))
    arguments = {
        "channels": len(channels),
        "classes": labels.classes,
        **config.plan.network_arguments(),
    }
    plan = Plan(
        orientation=config.plan.orientation,
        spacing=config.plan.spacing,
        channels=tuple(channels),
        patch=config.plan.patch,
        network=Network(name=config.plan.network, arguments=arguments),
        labels=labels,
        mirror_axes=config.plan.mirror_axes,
    )
    return Training(config, plan, dataset, fold)


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


def _open_classification(config: TrainingConfig) -> Training:
    """Do the same for whole images; an epoch is one pass over them unless ``steps`` says more."""
    dataset = open_images(config.dataset, config.classes)
    fold, held_out = divided(dataset, config)
    if "steps" not in config.model_fields_set:
        passes = math.ceil(len(fold.train) / config.batch)
        config = config.model_copy(update={"steps": passes})
    return Training(config, plan_of(config, dataset, fold), dataset, fold, held_out)


def fit(
    training: Training, out: Path, *, resume: bool = False, progress: Progress = silent
) -> tuple[Any, float]:
    """Train the network of a training.

    Parameters
    ----------
    training : Training
    out : Path
        Folder for ``log.csv``, ``checkpoint.safetensors`` and the prepared cases.
    resume : bool
        Go on from the checkpoint in ``out``, if there is one.
    progress : callable

    Returns
    -------
    keras.Model
        The trained network in float32, finest head only, with averaged weights if asked for.
    float
        Minutes that fitting took, those before a resume included.

    Raises
    ------
    EngineFailed
        ``loss-diverged``: the loss became NaN or infinite.
    ModelRefused
        ``checkpoint-invalid``.
    """
    config = training.config
    load_keras()
    make_folder(out)
    cases = _stored(training, prepared_folder(training, out), progress)
    with dtype_policy(policy_name(config.precision)):
        model, minutes = _fitted(training, cases, out, resume, progress)
    return _without_side_heads(training, model), minutes


def prepared_folder(training: Training, out: Path) -> Path:
    """Return where the prepared cases lie: in the store that the config names, else in ``out``."""
    return training.config.prepared or out / "prepared"


def _stored(
    training: Training, folder: Path, progress: Progress
) -> list[StoredCase] | StoredImages:
    names = set(training.fold.train)

    def report(done: int, total: int) -> None:
        progress("prepare", done, total, "")

    if isinstance(training.dataset, LabelledImages):
        images = [case for case in training.dataset.cases if case.name in names]
        return store_images(images, training.plan, folder, report)
    return store_cases(
        [case for case in training.dataset.cases if case.name in names],
        training.plan,
        folder,
        report,
        ignore=training.dataset.ignore,
        workers=cores(),
        skip_refused=training.config.skip_refused,
        anew=training.config.prepared is None,  # those in ``out`` are nobody else's
    )


def _fitted(
    training: Training,
    cases: list[StoredCase] | StoredImages,
    out: Path,
    resume: bool,
    progress: Progress,
) -> tuple[Any, float]:
    """Build, compile and fit; return the model as it was trained, and the minutes."""
    import keras

    from medseg import networks
    from medseg.losses import loss
    from medseg.training.checkpoint import Checkpoint, Done, load_checkpoint
    from medseg.training.schedule import optimizer_of

    config, plan = training.config, training.plan
    keras.utils.set_random_seed(config.seed)
    heads = {"deep_supervision": True} if config.deep_supervision else {}
    model = networks.build(plan.network.name, **plan.network.arguments, **heads)
    scales = _output_scales(config, len(model.outputs))
    model.compile(
        optimizer=optimizer_of(config),
        loss=[loss(config.loss) for _ in scales],
        loss_weights=_output_weights(len(scales)),
        jit_compile=has_gpu(),  # on a CPU, XLA is eight times slower
    )
    path, done = out / "checkpoint.safetensors", Done()
    if resume and path.exists():
        done = load_checkpoint(path, model, training.identity)
    checkpoint = Checkpoint(path, config.checkpoint_epochs, training.identity, done)
    model.fit(
        _batches(training, cases, scales, done.epochs),
        epochs=config.epochs,
        initial_epoch=done.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.CSVLogger(str(out / "log.csv"), append=done.epochs > 0),
            checkpoint,
            _reporter(config, progress),
        ],
    )
    if not all(keras.ops.all(keras.ops.isfinite(weight)) for weight in model.weights):
        raise EngineFailed(
            "loss-diverged", "The loss became NaN or infinite",
            do="Lower optimizer.rate, or set precision: f32",
        )  # fmt: skip
    return model, checkpoint.minutes


def _batches(
    training: Training,
    cases: list[StoredCase] | StoredImages,
    scales: list[tuple[int, ...]],
    first_epoch: int,
) -> Any:
    """Return what ``fit`` draws from: patches of cases, or whole images."""
    from medseg.training.sampler import Images, Patches

    config, plan = training.config, training.plan
    augmentation = recipe(config.augmentation, plan.spacing, plan.patch, plan.mirror_axes)
    common: dict[str, Any] = {
        "batch": config.batch,
        "steps": config.steps,
        "seed": config.seed,
        "first_epoch": first_epoch,
    }
    if isinstance(cases, StoredImages):
        return Images(cases, augmentation, **common)
    return Patches(cases, augmentation, plan.patch, foreground=config.foreground, scales=scales,
                   **common)  # fmt: skip


def _output_scales(config: TrainingConfig, outputs: int) -> list[tuple[int, ...]]:
    """Return by how much each output is coarser than the patch, finest first."""
    strides = config.plan.network_arguments()["strides"]
    scales = [(1,) * config.plan.rank]
    for stride in strides[1:outputs]:
        scales.append(tuple(a * b for a, b in zip(scales[-1], stride, strict=True)))
    return scales


def _output_weights(outputs: int) -> list[float]:
    """Return loss weights that halve with each coarser output and sum to one."""
    weights = [0.5**n for n in range(outputs)]
    return [weight / sum(weights) for weight in weights]


def _reporter(config: TrainingConfig, progress: Progress) -> Any:
    """Return a callback that reports steps and the running loss."""
    import keras

    class Reporter(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.before = epoch * config.steps

        def on_train_batch_end(self, batch, logs=None):
            loss = (logs or {}).get("loss", float("nan"))
            progress("train", self.before + batch + 1, config.total_steps, f"loss {loss:.3f}")

    return Reporter()


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
