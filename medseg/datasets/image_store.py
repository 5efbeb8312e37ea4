"""Prepared images on disk: one memory-mapped array that training draws from."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.datasets.images import LabelledImage, named
from medseg.files import check_space, make_folder, whole_file
from medseg.plan import Plan
from medseg.preparing.appearance import appearance
from medseg.preparing.whole import prepare_whole


@dataclass(frozen=True, eq=False, slots=True)
class StoredImages:
    """Images as the network sees them, and their classes.

    Attributes
    ----------
    images : (N, I, J, K, C) float32 memory map
    labels : (N,) int32 array
    appearances : (N, D) float64 array
        See :func:`medseg.preparing.appearance.appearance`.
    """

    images: np.ndarray
    labels: np.ndarray
    appearances: np.ndarray


def store_images(
    cases: Sequence[LabelledImage],
    plan: Plan,
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> StoredImages:
    """Prepare images into ``folder`` and open them; what is already there is not done again.

    The files bear a hash of plan and cases, so another plan or fold never reads them.
    """
    make_folder(folder)
    told = plan.hash + repr([case.name for case in cases])
    mark = hashlib.sha256(told.encode()).hexdigest()[:12]
    images, looks = (folder / f"{mark}.{part}.npy" for part in ("images", "appearances"))
    if not (images.exists() and looks.exists()):
        _prepare(cases, plan, images, looks, progress)
    progress(len(cases), len(cases))
    labels = np.array([case.label for case in cases], np.int32)
    return StoredImages(np.load(images, mmap_mode="r"), labels, np.load(looks))


def _prepare(
    cases: Sequence[LabelledImage],
    plan: Plan,
    images: Path,
    looks: Path,
    progress: Callable[[int, int], None],
) -> None:
    shape = (len(cases), *plan.patch, len(plan.channels))
    # a memory map on a full disk ends the process without a word
    free = shutil.disk_usage(images.parent).free
    check_space(f"{len(cases)} prepared images", 4 * math.prod(shape), free)
    appearances = []
    with whole_file(images) as aside:
        stored = np.lib.format.open_memmap(aside, "w+", np.float32, shape)
        for done, case in enumerate(cases):
            progress(done, len(cases))
            volume = case.read()
            with named(case.name):
                stored[done] = prepare_whole(volume, plan)
            appearances.append(appearance(volume.array, stored[done]))
        stored.flush()
        del stored
    with whole_file(looks) as aside, aside.open("wb") as stream:
        np.save(stream, np.array(appearances))
