"""A config and its data set brought together: labels, fold, and the plan of the network."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

from medseg.augmentation import recipe
from medseg.augmentation.sides import mirroring
from medseg.datasets import Dataset, Fold, open_dataset, split
from medseg.datasets.images import LabelledImages, open_images
from medseg.datasets.statistics import foreground_window
from medseg.errors import PlanRefused
from medseg.findings import Finding
from medseg.labels import LabelSet
from medseg.plan import Channel, Network, Plan
from medseg.training.config import TrainingConfig, with_names
from medseg.training.whole_images import divided, plan_of

# settings that a resumed training may change
NOT_OF_IDENTITY = {
    "name", "version", "dataset", "prepared", "card", "checkpoint_epochs", "track", "patience",
    "devices",
}  # fmt: skip


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
    findings: tuple[Finding, ...] = ()

    @property
    def identity(self) -> str:
        """Hash of what a checkpoint must share with the training that resumes it."""
        told = with_names(self.config).model_dump_json(exclude=NOT_OF_IDENTITY)
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
    if config.task == "classify":
        return _open_classification(config)
    dataset = dataset_of(config)
    fold = fold_in(dataset, config)
    labels = _labels(config, dataset)
    told, channels = config.plan, _channels(config, dataset, labels, fold)
    regions = told.outputs == "regions"
    arguments = {
        "channels": len(channels),
        "classes": len(labels.regions) if regions else labels.classes,
        **told.network_arguments(),
    }
    # what is not augmented at all is not mirrored either, nor is it when testing
    wished = recipe(config.augmentation, told.spacing, told.patch, told.mirror_axes,
                    channels=len(channels)).frame.mirror_axes  # fmt: skip
    mirrored = mirroring(labels, told.orientation, wished, told.patch, config.pairs)
    plan = Plan(
        orientation=told.orientation,
        spacing=told.spacing,
        channels=channels,
        patch=told.patch,
        network=Network(name=told.network, arguments=arguments),
        labels=labels,
        mirror_axes=mirrored.axes,
        swap=mirrored.swap,
        outputs=told.outputs,
    )
    return Training(config, plan, dataset, fold, findings=mirrored.findings)


def dataset_of(config: TrainingConfig) -> Dataset:
    """Open the data set of a config, with the ignore value that the config names."""
    return with_ignore(open_dataset(config.dataset, config.patient_pattern), config.ignore)


def with_ignore(dataset: Dataset, ignore: int | None) -> Dataset:
    """Return a data set in which a value means that nobody labelled a voxel.

    A layout that knows no such value, as the Decathlon's, lists it among its labels.
    """
    if ignore is None:
        return dataset
    labels = tuple(label for label in dataset.labels if label.value != ignore)
    return replace(dataset, labels=LabelSet(labels), ignore=ignore)


def fold_in(dataset: Dataset, config: TrainingConfig) -> Fold:
    """Return which cases of its data set a config trains on, and which it holds out."""
    if config.fold == "all":
        return Fold(tuple(sorted(case.name for case in dataset.cases)), ())
    return split(dataset, config.fold, config.folds, config.split_seed)


def _channels(
    config: TrainingConfig, dataset: Dataset, labels: LabelSet, fold: Fold
) -> tuple[Channel, ...]:
    """Return the input channels, with windows measured on the cases that train."""
    if len(dataset.channels) != len(config.plan.channels):
        raise PlanRefused(
            "channels-differ",
            f"The config has {len(config.plan.channels)} channels, "
            f"{dataset.name} has {len(dataset.channels)}",
        )
    train = [case for case in dataset.cases if case.name in set(fold.train)]
    channels = []
    for number, told in enumerate(config.plan.channels):
        how = told.fixed or foreground_window(
            train, labels, number, config.seed, config.skip_refused, dataset.ignore
        )
        channels.append(Channel(name=told.name, modality=told.modality, normalisation=how))
    return tuple(channels)


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
