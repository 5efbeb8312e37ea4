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
        Class numbers, not label values; the last number of the type where nobody labelled.
    foreground : dict
        For each class present, ``(N, 3)`` indices of up to 10,000 of its voxels.
    labelled : (N, 3) array or None
        Indices of up to 10,000 labelled voxels, background too; None where all are labelled.
    """

    name: str
    image: np.ndarray
    classes: np.ndarray
    foreground: dict[int, np.ndarray]
    labelled: np.ndarray | None = None


def store_cases(
    cases: Sequence[Case],
    plan: Plan,
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    ignore: int | None = None,
) -> list[StoredCase]:
    """Prepare cases into ``folder`` and open them; what is already there is not done again.

    The files of a case bear the plan's hash, and the label value ``ignore`` of voxels that
    nobody labelled, so another plan never reads them.
    """
    make_folder(folder)
    key = plan.hash[:12] + ("" if ignore is None else f"-{ignore}")
    stored = []
    for done, case in enumerate(cases):
        progress(done, len(cases))
        image, classes = (folder / f"{case.name}.{key}.{part}.npy"
                          for part in ("image", "classes"))  # fmt: skip
        if not (image.exists() and classes.exists()):
            volume, labels = read_case(case, plan.labels, ignore)
            _save(image, prepare(volume, plan).array)
            _save(classes, class_numbers(prepare_labels(labels, plan).array, plan, ignore))
        opened = np.load(classes, mmap_mode="r")
        stored.append(
            StoredCase(case.name, np.load(image, mmap_mode="r"), opened, _foreground(opened),
                       _labelled(opened))
        )  # fmt: skip
    progress(len(cases), len(cases))
    return stored


def _save(path: Path, array: np.ndarray) -> None:
    with whole_file(path) as aside, aside.open("wb") as stream:
        np.save(stream, array)


def class_numbers(values: np.ndarray, plan: Plan, ignore: int | None = None) -> np.ndarray:
    """Turn label values into class numbers 0, 1, 2 ... in the order of the label set.

    Voxels with the value ``ignore`` get the last number of the type, 255 or 65535.
    """
    dtype = np.uint8 if plan.labels.classes <= np.iinfo(np.uint8).max else np.uint16
    table = np.zeros(max(*plan.labels.values, ignore or 0) + 1, dtype)
    table[list(plan.labels.values)] = np.arange(plan.labels.classes)
    if ignore is not None:
        table[ignore] = np.iinfo(dtype).max
    return table[values]


def _foreground(classes: np.ndarray) -> dict[int, np.ndarray]:
    """Return a seeded sample of the voxels of each class present."""
    flat = np.ascontiguousarray(classes).ravel()
    found = {}
    for number in np.unique(flat):
        if number and number != np.iinfo(classes.dtype).max:
            found[int(number)] = _some(flat == number, classes.shape)
    return found


def _labelled(classes: np.ndarray) -> np.ndarray | None:
    """Return a seeded sample of the labelled voxels, or None where all are."""
    flat = np.ascontiguousarray(classes).ravel()
    labelled = flat != np.iinfo(classes.dtype).max
    return None if labelled.all() else _some(labelled, classes.shape)


def _some(where: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    index = np.flatnonzero(where)
    if len(index) > SAMPLES:
        index = np.random.default_rng(0).choice(index, SAMPLES, replace=False)
    return np.stack(np.unravel_index(index, shape), axis=-1)
