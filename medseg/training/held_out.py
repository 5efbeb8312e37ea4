"""Masks of held-out cases by every candidate: each network predicts once, results are kept."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np

from medseg.datasets import Case, Dataset, read_case
from medseg.datasets.store import case_folder
from medseg.errors import InputRefused
from medseg.files import make_folder, whole_file
from medseg.geometry import Geometry
from medseg.inference import Segmenter
from medseg.inference.engines import EngineName
from medseg.inference.mask import Predicted, joined, mask_of
from medseg.labels import LabelSet
from medseg.training.runs import Configuration, Run
from medseg.volume import LabelMap

Progress = Callable[[int, int], None]
Candidate = tuple[int, ...]
"""Numbers of the configurations that are averaged: one, or a pair."""


def candidates_of(configurations: int) -> tuple[Candidate, ...]:
    """Return every configuration alone, then every pair.

    Examples
    --------
    >>> candidates_of(2)
    ((0,), (1,), (0, 1))
    """
    numbers = range(configurations)
    return (*((n,) for n in numbers), *combinations(numbers, 2))


@dataclass(frozen=True, eq=False, slots=True)
class Packed:
    """A mask in little memory: most are a hundred times smaller so."""

    data: bytes
    dtype: str
    geometry: Geometry

    @classmethod
    def of(cls, array: np.ndarray, geometry: Geometry) -> Packed:
        """Pack an array."""
        return cls(zlib.compress(array.tobytes(), 1), array.dtype.str, geometry)

    @property
    def array(self) -> np.ndarray:
        """The mask, a new array that can be written to."""
        flat = np.frombuffer(bytearray(zlib.decompress(self.data)), self.dtype)
        return flat.reshape(self.geometry.shape)


@dataclass(frozen=True, eq=False, slots=True)
class HeldOut:
    """A case, what is true of it and what each candidate made of it.

    Attributes
    ----------
    name, patient : str
    truth : Packed
    ignore : int or None
        Value in ``truth`` of voxels that nobody labelled; they are not scored.
    masks : dict of Packed
        By the candidate.
    """

    name: str
    patient: str
    truth: Packed
    ignore: int | None
    masks: dict[Candidate, Packed]

    def mask(self, candidate: Candidate, labels: LabelSet) -> LabelMap:
        """Return what a candidate made of the case."""
        packed = self.masks[candidate]
        return LabelMap(packed.array, packed.geometry, labels)


def segment_held_out(
    dataset: Dataset,
    configurations: Sequence[Configuration],
    folder: Path,
    *,
    engine: EngineName = "auto",
    cache: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> list[HeldOut]:
    """Segment every case that each configuration held out, by each candidate.

    A network is asked once a case: pairs are averaged from the same logits, by the same code
    that runs an ensemble. Masks are kept in ``folder``, bound to the hashes of the models, and
    not computed again. Cases that cannot be read are left out where the trainings did so.

    Parameters
    ----------
    dataset : Dataset
    configurations : sequence of Configuration
    folder : Path
        Made if missing.
    engine, cache
        As :meth:`medseg.Segmenter.load`.
    progress : callable
        Called with the number of cases done and of all.
    """
    shared = set.intersection(*(set(one.held_out) for one in configurations))
    cases = [case for case in dataset.cases if case.name in shared]
    load = partial(Segmenter.load, engine=engine, cache=cache)
    by_runs: dict[tuple[Run, ...], list[Case]] = {}
    for case in cases:
        runs = tuple(one.run_for(case.name) for one in configurations)
        by_runs.setdefault(runs, []).append(case)
    found: list[HeldOut] = []
    for runs, alike in by_runs.items():
        loaded: list[Segmenter] = []  # only where a mask is missing
        for case in alike:
            progress(len(found), len(cases))
            try:
                found.append(_held_out(case, dataset.ignore, runs, loaded, load, folder))
            except InputRefused:
                if not all(run.config.skip_refused for run in runs):
                    raise
    progress(len(cases), len(cases))
    return found


def _held_out(
    case: Case,
    ignore: int | None,
    runs: tuple[Run, ...],
    loaded: list[Segmenter],
    load: Callable[[Path], Segmenter],
    folder: Path,
) -> HeldOut:
    plan = runs[0].package.plan
    volume, truth = read_case(case, plan.labels, ignore)
    places = {candidate: _place(folder, case.name, [runs[n] for n in candidate])
              for candidate in candidates_of(len(runs))}  # fmt: skip
    masks = {candidate: kept for candidate, path in places.items()
             if (kept := _kept(path, volume.geometry)) is not None}  # fmt: skip
    missing = [candidate for candidate in places if candidate not in masks]
    if missing and not loaded:
        loaded += [load(run.package.path) for run in runs]
    predicted = [segmenter.logits(volume) for segmenter in loaded] if missing else []
    for candidate in missing:
        parts = [_copied(one) for number in candidate for one in predicted[number]]
        mask = mask_of(joined(parts), volume.geometry, plan)
        _keep(places[candidate], mask)
        masks[candidate] = Packed.of(mask, volume.geometry)
    packed = Packed.of(truth.array, volume.geometry)
    return HeldOut(case.name, case.patient or case.name, packed, ignore, masks)


def _copied(predicted: Predicted) -> Predicted:
    """Return what may be averaged in place while others still need the logits."""
    return replace(predicted, logits=predicted.logits.copy())


def _place(folder: Path, case: str, runs: Sequence[Run]) -> Path:
    """Return where the mask of a case by some networks is kept."""
    name = case_folder(folder, case).name
    hashes = "+".join(run.package.hash for run in runs)
    return folder / hashlib.sha256(hashes.encode()).hexdigest()[:16] / f"{name}.npz"


def _keep(path: Path, mask: np.ndarray) -> None:
    make_folder(path.parent)
    with whole_file(path) as aside, aside.open("wb") as stream:
        np.savez_compressed(stream, mask=mask)


def _kept(path: Path, geometry: Geometry) -> Packed | None:
    """Return a mask that an earlier call kept, or None: absent, damaged or of another grid."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            mask = stored["mask"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return Packed.of(mask, geometry) if mask.shape == geometry.shape else None
