"""Whole images: which of them train, and the plan of their classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medseg.datasets.images import LabelledImage, LabelledImages
from medseg.datasets.splits import Fold
from medseg.datasets.statistics import image_window
from medseg.errors import InputRefused, PlanRefused
from medseg.plan import Channel, Network, Plan
from medseg.training.config import TrainingConfig


def divided(dataset: LabelledImages, config: TrainingConfig) -> tuple[Fold, str]:
    """Return which cases train and which are held out, and what to call the latter.

    The data set's own split counts where it has one and the config names no fold. Otherwise
    groups, which are never divided, are dealt into folds class by class.

    Raises
    ------
    PlanRefused
        ``fold-invalid``.
    InputRefused
        ``class-small``: no case of a class is left to train on.
    """
    train: Sequence[LabelledImage]
    held_out: Sequence[LabelledImage]
    if dataset.is_split and "fold" not in config.model_fields_set:
        train, held_out = dataset.part("train"), dataset.part("val")
        words = f"val part of {dataset.name}"
    else:
        judged = dataset.part("", "train", "val")
        train, held_out = _dealt(judged, config)
        words = "" if config.fold == "all" else f"fold {config.fold} of {config.folds}"
    for name, count in dataset.counts(train).items():
        if not count:
            raise InputRefused("class-small", f"No case of class {name} is left to train on",
                               do="Add cases of it, or choose another fold")  # fmt: skip
    return Fold(_names(train), _names(held_out)), words


def _names(cases: Sequence[LabelledImage]) -> tuple[str, ...]:
    return tuple(case.name for case in cases)


def _dealt(
    cases: Sequence[LabelledImage], config: TrainingConfig
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    if config.fold == "all":
        return list(cases), []
    fold_of_group = dealt(cases, config.folds, config.split_seed)
    if not 0 <= config.fold < config.folds or len(fold_of_group) < config.folds:
        raise PlanRefused(
            "fold-invalid",
            f"There is no fold {config.fold} of {config.folds} over {len(fold_of_group)} groups",
            do=f"Count folds from 0 to {config.folds - 1}, with a group for each at least",
        )
    inside = [fold_of_group[case.group] == config.fold for case in cases]
    return ([case for case, held in zip(cases, inside, strict=True) if not held],
            [case for case, held in zip(cases, inside, strict=True) if held])  # fmt: skip


def dealt(cases: Sequence[LabelledImage], folds: int, seed: int) -> dict[str, int]:
    """Return the fold of each group: shuffled, then dealt one by one, class after class.

    A group counts for the rarest class it holds, so that each fold gets its share of that.
    """
    frequency = np.bincount([case.label for case in cases])
    classes: dict[str, int] = {}
    for case in sorted(cases, key=lambda case: (case.group, frequency[case.label], case.label)):
        classes.setdefault(case.group, case.label)
    groups = sorted(classes)
    np.random.default_rng(seed).shuffle(groups)
    return {group: place % folds
            for place, group in enumerate(sorted(groups, key=lambda group: classes[group]))
            }  # fmt: skip


def plan_of(config: TrainingConfig, dataset: LabelledImages, fold: Fold) -> Plan:
    """Return the plan of a classifier, with intensities measured on the images that train."""
    told = config.plan
    train = cases_of(dataset, fold.train)
    channels = [
        Channel(name=one.name, modality=one.modality,
                normalisation=one.fixed or image_window(train, number, config.seed))
        for number, one in enumerate(told.channels)
    ]  # fmt: skip
    arguments = {"channels": len(channels), "classes": len(dataset.classes), **_network(config)}
    return Plan(
        task="classify",
        orientation=told.orientation,
        spacing=told.spacing,
        channels=tuple(channels),
        patch=told.patch,
        network=Network(name=told.network, arguments=arguments),
        classes=dataset.classes,
        fit=told.fit,
        mirror_axes=told.mirror_axes,
    )


def _network(config: TrainingConfig) -> dict[str, Any]:
    plan = config.plan
    arguments = plan.network_arguments()
    if plan.network != "textbook_cnn":
        return arguments
    del arguments["kernels"], arguments["strides"]
    return {"size": plan.patch[3 - plan.rank :], "filters": arguments.pop("features"), **arguments}


def cases_of(dataset: LabelledImages, names: Sequence[str]) -> tuple[LabelledImage, ...]:
    """Return the cases of these names."""
    wanted = set(names)
    return tuple(case for case in dataset.cases if case.name in wanted)
