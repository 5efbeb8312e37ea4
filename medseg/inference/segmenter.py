"""A model that is loaded once and segments one scan after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache as memoised
from functools import partial
from itertools import count
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
from medseg.inference.mask import Predicted, joined, mask_of, probabilities_of
from medseg.inference.mirror import mirror_axes, mirrored
from medseg.inference.tiles import Compute
from medseg.models import ModelPackage, find
from medseg.plan import Plan
from medseg.preparing import prepare
from medseg.preparing.prepare import network_grid
from medseg.result import Result
from medseg.volume import LabelMap, Volume

UNUSUAL_SPACING = 3  # times finer or coarser than the network's: most voxels are invented or lost
UNUSUAL_EXTENT = 3  # times the training images: mostly anatomy that the model never saw
KEPT_VOXELS = 1 << 22  # of the tiles of all networks together; about 1 GB of engines at 32 features

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, slots=True)
class Segmenter:
    """A model package in an engine.

    Attributes
    ----------
    package : ModelPackage
        What is known about the model.
    engine : Engine
        What computes; of an ensemble, its first network.
    findings : tuple of Finding
        What loading found odd; part of every result.
    load_engine : callable or None
        Gives the engine of each further network of an ensemble when its turn comes. Of small
        networks all stay loaded, of large ones two at a time.
    """

    package: ModelPackage
    engine: Engine
    findings: tuple[Finding, ...] = ()
    load_engine: Callable[[ModelPackage], Engine] | None = None

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
        load = partial(choose, engine=engine, device=device, precision=precision, cache=cache)
        loaded, findings = load(package)

        def further(network: ModelPackage) -> Engine:
            return load(network)[0]

        small = sum(math.prod(one.plan.patch) for one in package.networks) <= KEPT_VOXELS
        return cls(package, loaded, findings, memoised(further) if small else further)

    def predict(
        self,
        volume: Volume,
        *,
        probabilities: bool = False,
        progress: Progress | None = None,
        strict_modality: bool = False,
        postprocess: bool = True,
        mirror: bool = False,
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
        postprocess : bool
            Take the package's steps of post-processing, if it has some; they change the mask
            and leave probabilities as they are.
        mirror : bool
            Average the logits of each tile over all mirrorings that training used, those of
            paired left and right labels in each other's place: 2, 4 or 8 times the work. What
            it did, or that the model allows none, is the finding ``mirrored``.

        Returns
        -------
        Result
            With a mask on the grid of ``volume``. Seconds are kept of ``prepare``,
            ``predict``, ``restore`` and, where there is something to do, ``postprocess``.

        Raises
        ------
        InputRefused
            ``channels-differ``, ``memory-short``, and ``modality-differs`` if strict.
        EngineFailed
            ``logits-not-finite``, ``logits-shape``, ``classes-differ``.
        """
        plan, onto = self.package.plan, volume.geometry
        findings = (*volume.findings, *self.findings, *self._checked(volume, strict_modality))
        if mirror:
            findings = (*findings, _mirror_finding(plan))
        needed = memory_of(volume, self.package, probabilities=probabilities)
        _check_memory(needed, available_memory())
        timings: dict[str, float] = {}
        predicted = self.logits(volume, mirror=mirror, timings=timings, progress=progress)
        with _timed(timings, "restore"):
            labels = LabelMap(mask_of(predicted, onto, plan), onto, plan.labels)
            shares = probabilities_of(predicted, onto, plan) if probabilities else None
        steps = self.package.postprocessing if postprocess else ()
        if steps:
            from medseg.inference.postprocess import postprocessed  # SciPy, slow to import

            with _timed(timings, "postprocess"):
                labels, changes = postprocessed(labels, steps)
            findings = (*findings, *changes)
        taken = [step.model_dump(mode="json") for step in steps]
        told = {**self.provenance, "postprocessing": taken}
        return Result(volume, labels, shares, findings, timings, told)

    def logits(
        self,
        volume: Volume,
        *,
        mirror: bool = False,
        timings: dict[str, float] | None = None,
        progress: Progress | None = None,
    ) -> tuple[Predicted, ...]:
        """Return the mean logits of the package's networks on each grid that they work on.

        Networks of one plan see the same prepared scan. ``timings`` gets the seconds.
        """
        timings = {} if timings is None else timings
        plans = list(
            {network.plan.hash: network.plan for network in self.package.networks}.values()
        )
        report = _over_all(volume.geometry, self.package, progress)
        predicted: tuple[Predicted, ...] = ()
        for plan in plans:
            networks = [one for one in self.package.networks if one.plan.hash == plan.hash]
            with _timed(timings, "prepare"):
                prepared = prepare(volume, plan)  # (I', J', K', C)
            with _timed(timings, "predict"):
                engines: Iterable[Compute] = map(self._engine_of, networks)
                if mirror:
                    engines = (mirrored(engine, plan) for engine in engines)
                logits = tiles.predict(engines, prepared.array, plan.patch, progress=report)
            if len(logits) != plan.output_channels:
                raise EngineFailed(
                    "classes-differ",
                    f"The network gave {len(logits)} classes, "
                    f"its plan names {plan.output_channels}",
                )
            one = Predicted(logits, prepared.geometry, len(networks))
            predicted = joined((*predicted, one))
        return predicted

    def _engine_of(self, network: ModelPackage) -> Engine:
        if network is self.package or self.load_engine is None:
            return self.engine
        return self.load_engine(network)

    @property
    def provenance(self) -> dict[str, Any]:
        """What is needed to compute the same again, plain enough for JSON."""
        package, engine = self.package, self.engine
        networks = [one.plan.hash for one in package.networks]
        return {
            "model": {"name": package.name, "version": package.version, "hash": package.hash},
            "plan": package.plan.hash,
            **({"networks": networks} if len(networks) > 1 else {}),
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


def memory_of(volume: Volume, package: ModelPackage, *, probabilities: bool = False) -> int:
    """Return the bytes that segmenting a scan takes beside the scan itself.

    Logits of every class on the network's grid weigh most, those of other grids and plans of
    an ensemble are held beside; the mask follows while they are still held, and probabilities
    where asked for.
    """
    plans = {network.plan.hash: network.plan for network in package.networks}.values()
    predicting, channels, held = 0, package.plan.output_channels, set()
    for plan in plans:
        shape = network_grid(volume.geometry, plan).shape
        needed = tiles.memory_needed(shape, plan.patch, volume.channels, channels)
        predicting = max(predicting, needed)
        held.add(shape)
    beside = sum(4 * channels * math.prod(shape) for shape in held) if len(plans) > 1 else 0
    on_scan = 2 + (4 * channels if probabilities else 0)  # bytes a voxel
    return predicting + beside + math.prod(volume.geometry.shape) * on_scan


def _over_all(
    geometry: Geometry, package: ModelPackage, progress: Progress | None
) -> Progress | None:
    """Return what counts the tiles of all networks as one row."""
    if progress is None:
        return None
    counts = {
        network.plan.hash: len(tiles.tile_starts(network_grid(geometry, network.plan).shape,
                                                 network.plan.patch))
        for network in package.networks
    }  # fmt: skip
    total = sum(counts[network.plan.hash] for network in package.networks)
    done = count(1)
    return lambda *_: progress(next(done), total)


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


def _mirror_finding(plan: Plan) -> Finding:
    axes = mirror_axes(plan)
    if not axes:
        return Finding("info", "mirrored", "The model was trained without mirroring: nothing to "
                       "average over")  # fmt: skip
    letters = " ".join(plan.orientation[axis] for axis in axes)
    return Finding("info", "mirrored", f"Each tile is the mean of {2 ** len(axes)} mirrored ones "
                   f"(axes {letters})")  # fmt: skip


def _or(words: list[str]) -> str:
    return " or ".join(words)


def _mm(sizes: Iterable[float]) -> str:
    return " x ".join(f"{size:.3g}" for size in sizes) + " mm"


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    start = perf_counter()
    yield
    timings[stage] = timings.get(stage, 0.0) + perf_counter() - start
