"""A model that is loaded once and segments one scan after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import medseg
from medseg.errors import EngineFailed, InputRefused, ModelRefused
from medseg.findings import Finding
from medseg.geometry import Geometry, axes_towards
from medseg.inference import tiles
from medseg.inference.engines import Device, Engine, EngineName, Precision, choose
from medseg.inference.machine import available_memory
from medseg.models import ModelPackage, find
from medseg.plan import Plan
from medseg.preparing import prepare, restore, restore_probabilities
from medseg.preparing.prepare import network_grid
from medseg.result import Result
from medseg.volume import LabelMap, Volume

UNUSUAL_SPACING = 3  # times finer or coarser than the network's: most voxels are invented or lost
UNUSUAL_EXTENT = 3  # times the training images: mostly anatomy that the model never saw

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, slots=True)
class Segmenter:
    """A model package in an engine.

    Attributes
    ----------
    package : ModelPackage
        What is known about the model.
    engine : Engine
        What computes.
    findings : tuple of Finding
        What loading found odd; part of every result.
    """

    package: ModelPackage
    engine: Engine
    findings: tuple[Finding, ...] = ()

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        engine: EngineName = "auto",
        device: Device = "auto",
        precision: Precision = "f32",
        cache: Path | None = None,
    ) -> Segmenter:
        """Find a model and make it ready to compute.

        Parameters
        ----------
        name : str or Path
            A shipped model, or the folder or zip of a package.
        engine, device, precision, cache
            As :func:`medseg.inference.engines.choose`.

        Raises
        ------
        ModelRefused, PlanRefused, EngineFailed
            ``task-differs``: the model classifies. Others as :func:`medseg.models.find` and
            :func:`medseg.inference.engines.choose`.
        """
        package = find(name)
        if package.plan.task != "segment":
            raise ModelRefused("task-differs", f"{package.name} classifies whole images",
                               do="Use medseg classify, or give a model that segments"
                               )  # fmt: skip
        loaded, findings = choose(
            package, engine=engine, device=device, precision=precision, cache=cache
        )
        return cls(package, loaded, findings)

    def predict(
        self,
        volume: Volume,
        *,
        probabilities: bool = False,
        progress: Progress | None = None,
        strict_modality: bool = False,
    ) -> Result:
        """Segment a scan.

        Parameters
        ----------
        volume : Volume
            In any orientation and spacing; it is not changed.
        probabilities : bool
            Return them too: 4 bytes a class for each voxel of the scan.
        progress : callable, optional
            Called with the number of tiles done and of all.
        strict_modality : bool
            Refuse another modality than the model was trained on, instead of warning.

        Returns
        -------
        Result
            With a mask on the grid of ``volume``. Seconds are kept of ``prepare``,
            ``predict`` and ``restore``.

        Raises
        ------
        InputRefused
            ``channels-differ``, ``memory-short``, and ``modality-differs`` if strict.
        EngineFailed
            ``logits-not-finite``, ``logits-shape``, ``classes-differ``.
        """
        plan = self.package.plan
        findings = (*volume.findings, *self.findings, *self._checked(volume, strict_modality))
        needed = memory_of(volume, plan, probabilities=probabilities)
        _check_memory(needed, available_memory())
        timings: dict[str, float] = {}
        with _timed(timings, "prepare"):
            prepared = prepare(volume, plan)  # (I', J', K', C)
        with _timed(timings, "predict"):
            logits = tiles.predict(self.engine, prepared.array, plan.patch, progress=progress)
        if len(logits) != plan.labels.classes:
            raise EngineFailed(
                "classes-differ",
                f"The network gave {len(logits)} classes, its plan names {plan.labels.classes}",
            )
        with _timed(timings, "restore"):
            grid, onto = prepared.geometry, volume.geometry
            del prepared  # its memory is wanted for the way back
            values = np.asarray(plan.labels.values, np.min_scalar_type(max(plan.labels.values)))
            classes = restore(logits, grid, onto, np.min_scalar_type(len(values)))
            array = values[classes]  # (I, J, K)
            shares = restore_probabilities(logits, grid, onto) if probabilities else None
        labels = LabelMap(array, onto, plan.labels)
        return Result(volume, labels, shares, findings, timings, self.provenance)

    @property
    def provenance(self) -> dict[str, Any]:
        """What is needed to compute the same again, plain enough for JSON."""
        package, engine = self.package, self.engine
        return {
            "model": {"name": package.name, "version": package.version, "hash": package.hash},
            "plan": package.plan.hash,
            "labels": {label.name: label.value for label in package.plan.labels.plain},
            "engine": engine.name,
            "precision": engine.precision,
            "device": engine.device,
            "versions": {
                "medseg": medseg.__version__, "numpy": np.__version__, **engine.versions,
            },
        }  # fmt: skip

    def _checked(self, volume: Volume, strict_modality: bool) -> list[Finding]:
        """Return how a scan differs from what the model was trained on; refuse what cannot be."""
        plan = self.package.plan
        if volume.channels != len(plan.channels):
            raise InputRefused(
                "channels-differ",
                f"The scan has {volume.channels} channels, the model wants {len(plan.channels)}",
                do=f"Give {', '.join(channel.name for channel in plan.channels)}, in this order",
            )
        findings = [
            *_modality_findings(volume, plan),
            *_spacing_findings(volume.geometry, plan),
            *_extent_findings(volume.geometry, plan, self.package.card.training_extent_mm),
        ]
        if strict_modality:
            for finding in findings:
                if finding.code == "modality-differs":
                    raise InputRefused(finding.code, finding.words,
                                       do="Choose a model for this modality")  # fmt: skip
        return findings


def memory_of(volume: Volume, plan: Plan, *, probabilities: bool = False) -> int:
    """Return the bytes that segmenting a scan takes beside the scan itself.

    Logits of every class on the network's grid weigh most; the mask follows while they are
    still held, and probabilities where asked for.
    """
    grid, classes = network_grid(volume.geometry, plan), plan.labels.classes
    on_scan = 2 + (4 * classes if probabilities else 0)  # bytes a voxel
    predicting = tiles.memory_needed(grid.shape, plan.patch, volume.channels, classes)
    return predicting + math.prod(volume.geometry.shape) * on_scan


def _check_memory(needed: int, available: int | None) -> None:
    if available is not None and needed > available:
        raise InputRefused(
            "memory-short",
            f"This scan needs {needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are free",
            do="Crop the scan, close other programs, or use a larger machine",
        )


def _modality_findings(volume: Volume, plan: Plan) -> list[Finding]:
    wanted = sorted({channel.modality for channel in plan.channels} - {""})
    if not wanted or volume.modality in wanted:
        return []
    if not volume.modality:
        return [Finding("info", "modality-unknown",
                        f"The file does not say its modality; the model is for {_or(wanted)} only"
                        )]  # fmt: skip
    return [
        Finding(
            "warning",
            "modality-differs",
            f"THE MASK IS MOST LIKELY WRONG: this scan is {volume.modality}, "
            f"the model was trained on {_or(wanted)}",
        )
    ]


def _spacing_findings(geometry: Geometry, plan: Plan) -> list[Finding]:
    spacing = axes_towards(geometry, plan.orientation).of_geometry(geometry).spacing
    factors = np.divide(spacing, plan.spacing)
    if np.maximum(factors, 1 / factors).max() <= UNUSUAL_SPACING:
        return []
    return [
        Finding(
            "warning",
            "spacing-unusual",
            f"Voxels are {_mm(spacing)} (axes {plan.orientation}), the model works on "
            f"{_mm(plan.spacing)}: more than a factor of {UNUSUAL_SPACING} apart",
        )
    ]


def _extent_findings(
    geometry: Geometry, plan: Plan, trained: tuple[float, float, float] | None
) -> list[Finding]:
    if trained is None:
        return []
    turned = axes_towards(geometry, plan.orientation).of_geometry(geometry)
    extent = np.multiply(turned.shape, turned.spacing)
    if (extent <= np.multiply(UNUSUAL_EXTENT, trained)).all():
        return []
    return [
        Finding(
            "warning",
            "field-of-view-differs",
            f"The scan covers {_mm(extent)} (axes {plan.orientation}), the model was trained on "
            f"{_mm(trained)}: it may mark things it never saw. Crop to the region it knows",
        )
    ]


def _or(words: list[str]) -> str:
    return " or ".join(words)


def _mm(sizes: Iterable[float]) -> str:
    return " x ".join(f"{size:.3g}" for size in sizes) + " mm"


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    start = perf_counter()
    yield
    timings[stage] = perf_counter() - start
