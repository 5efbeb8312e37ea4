"""What a data set is like: grids, intensities of the foreground, volumes of the classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from pydantic import PositiveFloat
from scipy import ndimage

from medseg.datasets import Case, Dataset, read_case
from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.geometry import axes_towards
from medseg.plan import Count, Frozen
from medseg.volume import LabelMap, Volume

AXES = "SAR"  # of all shapes and spacings here: nnU-Net's order (z, y, x) of an axial scan
SAMPLES = 2_000_000  # foreground intensities that are held a channel, whatever the number of cases
PERCENTILES = (0.5, 50.0, 99.5)


class CaseFacts(Frozen):
    """What planning has to know of one case, along the axes ``SAR``.

    Attributes
    ----------
    name : str
    shape, cropped : (int, int, int)
        Voxels of the scan, and of the box around everything that is not 0 in some channel.
    spacing : (float, float, float)
        mm.
    volumes_ml : dict
        Of each label that is present, by its name.
    """

    name: str
    shape: tuple[Count, Count, Count]
    cropped: tuple[Count, Count, Count]
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    volumes_ml: dict[str, float]


class Intensities(Frozen):
    """Intensities of one channel in the foreground of all cases, in the units of the scans."""

    low: float
    median: float
    high: float
    mean: float
    deviation: float
    smallest: float
    largest: float


class Fingerprint(Frozen):
    """A data set in numbers.

    Attributes
    ----------
    name : str
    channels : tuple of str
    labels : tuple of str
        Names, background left out.
    cases : tuple of CaseFacts
        Those that could be read.
    intensities : tuple of Intensities
        Of each channel; empty when no case has a labelled voxel.
    findings : tuple of Finding
        What is odd about single cases and about the whole.
    patients : int or None
        Whose those cases are; None where every case is another's.
    """

    name: str
    channels: tuple[str, ...]
    labels: tuple[str, ...]
    cases: tuple[CaseFacts, ...]
    intensities: tuple[Intensities, ...]
    findings: tuple[Finding, ...] = ()
    patients: Count | None = None

    @property
    def shapes(self) -> np.ndarray:
        """Shapes of the cases after cropping, ``(N, 3)``."""
        return np.array([case.cropped for case in self.cases])

    @property
    def spacings(self) -> np.ndarray:
        """Spacings of the cases in mm, ``(N, 3)``."""
        return np.array([case.spacing for case in self.cases])

    @property
    def share_after_cropping(self) -> float:
        """Median share of a scan's voxels that cropping to what is not 0 leaves."""
        whole = [math.prod(case.shape) for case in self.cases]
        return float(np.median(self.shapes.prod(axis=1) / whole))


def fingerprint(
    dataset: Dataset, progress: Callable[[int, int], None] = lambda done, total: None
) -> Fingerprint:
    """Measure a data set; each case is read once and let go.

    Shapes and spacings are taken along the axes of the patient, not of the file, since
    :func:`medseg.preparing.prepare` turns every scan to one orientation. A case that cannot be
    read is a finding, and the others are measured.

    Raises
    ------
    InputRefused
        ``dataset-unreadable``: no case at all can be read.
    """
    facts, findings, patients = [], [], set()
    pools = [_Pool(SAMPLES // len(dataset.cases)) for _ in dataset.channels]
    for done, case in enumerate(dataset.cases):
        progress(done, len(dataset.cases))
        try:
            volume, truth = read_case(case, dataset.labels, dataset.ignore)
            facts.append(_facts(case, volume, truth))
            patients.add((bool(case.patient), case.patient or case.name))
        except InputRefused as refusal:
            findings.append(Finding("error", refusal.code, refusal.found))
            continue
        findings += _odd(case, volume, truth)
        inside = truth.array > 0
        for number, pool in enumerate(pools):
            pool.add(_channel(volume, number)[inside])
    progress(len(dataset.cases), len(dataset.cases))
    if not facts:
        raise InputRefused(
            "dataset-unreadable", f"None of {len(dataset.cases)} cases can be read: "
            f"{findings[0].words}",
        )  # fmt: skip
    intensities = tuple(pool.statistics() for pool in pools) if pools[0].filled else ()
    return Fingerprint(
        name=dataset.name,
        channels=dataset.channels,
        labels=tuple(label.name for label in dataset.labels.plain),
        cases=tuple(facts),
        intensities=intensities,
        findings=tuple(findings),
        patients=len(patients),
    )


def _channel(volume: Volume, number: int) -> np.ndarray:
    return volume.array if volume.array.ndim == 3 else volume.array[..., number]


def _facts(case: Case, volume: Volume, truth: LabelMap) -> CaseFacts:
    turn = axes_towards(volume.geometry, AXES)
    turned = turn.of_geometry(volume.geometry)
    something = volume.array != 0
    if something.ndim == 4:
        something = something.any(axis=-1)
    boxes = ndimage.find_objects(turn.of_array(something).astype(np.uint8))
    box = boxes[0] if boxes else tuple(slice(0, n) for n in turned.shape)
    i, j, k = (side.stop - side.start for side in box)
    present = {name: ml for name, ml in truth.volumes_ml().items() if ml > 0}
    return CaseFacts(
        name=case.name, shape=turned.shape, cropped=(i, j, k), spacing=turned.spacing,
        volumes_ml=present,
    )  # fmt: skip


def _odd(case: Case, volume: Volume, truth: LabelMap) -> list[Finding]:
    """Return what a person should look at in one case before training on it."""
    found = [replace(one, words=f"Case {case.name}: {one.words}") for one in volume.findings
             if one.level != "info"]  # fmt: skip
    if not truth.array.any():
        found.append(Finding("warning", "label-empty", f"Case {case.name}: no voxel is labelled"))
    if volume.array.min() == volume.array.max():
        words = f"Case {case.name}: the image has one value everywhere"
        found.append(Finding("warning", "image-constant", words))
    return found


class _Pool:
    """A bounded sample of one channel's intensities, the same number of every case."""

    def __init__(self, per_case: int) -> None:
        self.per_case = max(1, per_case)
        self.rng = np.random.default_rng(0)
        self.parts: list[np.ndarray] = []
        self.extremes: list[float] = []

    @property
    def filled(self) -> bool:
        return bool(self.parts)

    def add(self, values: np.ndarray) -> None:
        values = values[np.isfinite(values)]
        if not len(values):
            return
        self.extremes += [float(values.min()), float(values.max())]
        # with replacement, as nnU-Net: a case with a small lesion weighs as much as another
        self.parts.append(self.rng.choice(values, self.per_case))

    def statistics(self) -> Intensities:
        pool = np.concatenate(self.parts)
        low, median, high = np.percentile(pool, PERCENTILES).tolist()
        return Intensities(
            low=low, median=median, high=high,
            mean=float(pool.mean(dtype=np.float64)), deviation=float(pool.std(dtype=np.float64)),
            smallest=min(self.extremes), largest=max(self.extremes),
        )  # fmt: skip
