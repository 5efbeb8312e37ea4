"""What ``fit`` draws from: patches of stored cases, or stored whole images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.augmentation import recipe
from medseg.augmentation.sides import class_pairs, side_axis
from medseg.datasets.image_store import StoredImages, store_images
from medseg.datasets.images import LabelledImages
from medseg.datasets.store import StoredCase, store_cases
from medseg.errors import PlanRefused
from medseg.inference.machine import cores
from medseg.training.opening import Training
from medseg.training.progress import Progress

if TYPE_CHECKING:
    import keras

PREPARED = "prepared"  # folder of a training, while it runs
Stored = Sequence[StoredCase] | StoredImages


def prepared_folder(training: Training, out: Path) -> Path:
    """Return where the prepared cases lie: in the store that the config names, else in ``out``."""
    return training.config.prepared or out / PREPARED


def stored(training: Training, folder: Path, progress: Progress) -> tuple[Stored, Stored | None]:
    """Prepare the cases of a training and open them: those that train, and those held out.

    The latter are None where nothing is held out or nothing of it is scored between epochs.
    """
    fold = training.fold

    def report(done: int, total: int) -> None:
        progress("prepare", done, total, "")

    scored = training.config.validation_steps > 0 and bool(fold.held_out)
    if isinstance(training.dataset, LabelledImages):
        images = training.dataset.cases
        parts = [[case for case in images if case.name in set(names)]
                 for names in (fold.train, fold.held_out)]  # fmt: skip
        train, held_out = (store_images(part, training.plan, folder, report) if part else None
                           for part in parts)  # fmt: skip
        assert train is not None
        return train, held_out if scored else None
    cases = store_cases(
        training.dataset.cases,
        training.plan,
        folder,
        report,
        ignore=training.dataset.ignore,
        workers=cores(),
        skip_refused=training.config.skip_refused,
        anew=training.config.prepared is None,  # those in ``out`` are nobody else's
    )
    kept = _of(cases, fold.train)
    if not kept:
        raise PlanRefused("fold-invalid", "No case that can be used is left to train on",
                          do="See medseg check, or choose another fold")  # fmt: skip
    return kept, (_of(cases, fold.held_out) or None) if scored else None


def _of(cases: Sequence[StoredCase], names: Sequence[str]) -> list[StoredCase]:
    return [case for case in cases if case.name in set(names)]


def batches(
    training: Training,
    cases: Stored,
    scales: Sequence[tuple[int, ...]],
    first_epoch: int,
    *,
    held_out: bool = False,
) -> keras.utils.PyDataset:
    """Return batches to learn from, or batches of held-out cases, which are not augmented.

    Parameters
    ----------
    training : Training
    cases : sequence of StoredCase, or StoredImages
    scales : sequence of tuples of int
        By how much each output of the network is coarser than the patch, finest first.
    first_epoch : int
        The epoch that training begins or goes on with.
    held_out : bool
    """
    from medseg.training.sampler import Images, Patches, truth_table

    config, plan = training.config, training.plan
    augmentation = recipe(
        "none" if held_out else config.augmentation,
        plan.spacing,
        plan.patch,
        plan.mirror_axes,
        side_axis=side_axis(plan.orientation),
        swap=class_pairs(plan),
        channels=len(plan.channels),
    )
    common: dict[str, Any] = {
        "batch": config.batch,
        "steps": config.validation_steps if held_out else config.steps,
        "seed": config.seed + held_out,  # other draws than those of training
        "first_epoch": first_epoch,
    }
    if isinstance(cases, StoredImages):
        if held_out:  # each image once is enough
            whole = math.ceil(len(cases.labels) / config.batch)
            common["steps"] = min(common["steps"], whole)
        return Images(cases, augmentation, balanced=config.balanced and not held_out, **common)
    return Patches(
        cases,
        augmentation,
        plan.patch,
        foreground=config.foreground,
        scales=scales,
        table=truth_table(cases[0].classes.dtype, plan),
        **common,
    )
