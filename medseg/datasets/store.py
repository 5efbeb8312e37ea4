"""Prepared cases on disk: memory-mapped arrays that training cuts patches from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.datasets.dataset import Case, read_case
from medseg.files import make_folder, whole_file
from medseg.plan import Plan
from medseg.preparing import prepare, prepare_labels

SAMPLES = 10_000  # foreground voxels remembered a class: plenty to centre patches on


@dataclass(frozen=True, eq=False, slots=True)
class StoredCase:
    """A case as the network sees it.

    Attributes
    ----------
    name : str
    image : (I, J, K, C) float32 memory map
    classes : (I, J, K) uint8 or uint16 memory map
        Class numbers, not label values.
    foreground : dict
        For each class present, ``(N, 3)`` indices of up to 10,000 of its voxels.
    """

    name: str
    image: np.ndarray
    classes: np.ndarray
    foreground: dict[int, np.ndarray]


def store_cases(
    cases: Sequence[Case],
    plan: Plan,
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[StoredCase]:
    """Prepare cases into ``folder`` and open them; what is already there is not done again.

    The files of a case bear the plan's hash, so another plan never reads them.
    """
    make_folder(folder)
    stored = []
    for done, case in enumerate(cases):
        progress(done, len(cases))
        image, classes = (folder / f"{case.name}.{plan.hash[:12]}.{part}.npy"
                          for part in ("image", "classes"))  # fmt: skip
        if not (image.exists() and classes.exists()):
            volume, labels = read_case(case, plan.labels)
            _save(image, prepare(volume, plan).array)
            _save(classes, _class_numbers(prepare_labels(labels, plan).array, plan))
        opened = np.load(classes, mmap_mode="r")
        stored.append(
            StoredCase(case.name, np.load(image, mmap_mode="r"), opened, _foreground(opened))
        )
    progress(len(cases), len(cases))
    return stored


def _save(path: Path, array: np.ndarray) -> None:
    with whole_file(path) as aside, aside.open("wb") as stream:
        np.save(stream, array)


def _class_numbers(values: np.ndarray, plan: Plan) -> np.ndarray:
    """Turn label values into class numbers 0, 1, 2 ... in the order of the label set."""
    table = np.zeros(max(plan.labels.values) + 1, values.dtype)
    table[list(plan.labels.values)] = np.arange(plan.labels.classes)
    return table[values]


def _foreground(classes: np.ndarray) -> dict[int, np.ndarray]:
    """Return a seeded sample of the voxels of each class present."""
    flat = np.ascontiguousarray(classes).ravel()
    found = {}
    for number in np.unique(flat):
        if number:
            index = np.flatnonzero(flat == number)
            if len(index) > SAMPLES:
                index = np.random.default_rng(0).choice(index, SAMPLES, replace=False)
            found[int(number)] = np.stack(np.unravel_index(index, classes.shape), axis=-1)
    return found
