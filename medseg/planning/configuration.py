"""One way to train on a data set: grid, patch, batch and network that a budget affords."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from medseg.errors import PlanRefused
from medseg.planning.budget import Budget
from medseg.planning.memory import Architecture, Kind
from medseg.planning.topology import SMALLEST_EDGE, Sizes, Topology, topology_of

FIRST_FEATURES = 32
MOST_FEATURES = {2: 512, 3: 320}
FIRST_EDGE = {2: 2048, 3: 256}  # the search starts at a square or cube of as many voxels
LOW_RESOLUTION = 0.25  # a patch that shows less of a case calls for a coarser network first
COARSER = 1.03  # one step of coarsening
HARDLY_COARSER = 2  # times fewer voxels, below which a coarser network is not worth it


@dataclass(frozen=True, slots=True)
class Task:
    """What all configurations of a data set share."""

    channels: int
    classes: int
    cases: int
    kind: Kind = "unet"
    first_features: int = FIRST_FEATURES


@dataclass(frozen=True, slots=True)
class Configuration:
    """Grid, patch, batch and network.

    Attributes
    ----------
    spacing : tuple of float
        mm along the planned axes; two of them in 2-D.
    shape : tuple of float
        Median voxels of a case on that grid.
    patch : tuple of int
    batch : int
    network : Architecture
    """

    spacing: tuple[float, ...]
    shape: tuple[float, ...]
    patch: Sizes
    batch: int
    network: Architecture

    @property
    def share(self) -> float:
        """Part of a median case that one patch shows."""
        return math.prod(self.patch) / math.prod(self.shape)


def configured(
    spacing: Sequence[float],
    shape: Sequence[float],
    task: Task,
    budget: Budget,
    *,
    patch: Sizes | None = None,
    batch: int | None = None,
    features: Sizes | None = None,
    voxels: float | None = None,
) -> Configuration:
    """Return the largest patch that a budget affords, and its network and batch.

    The search starts at the aspect ratio of the spacing, cut to the median case, and takes
    from the axis of which the patch shows most, until the smallest batch fits (nnU-Net's
    ``get_plans_for_configuration``, which goes below four voxels and two stages). The way down
    is the same for every budget, so a larger one never ends at a smaller patch.

    Parameters
    ----------
    spacing, shape : sequences
        Of a median case, three axes or, for a 2-D network, two.
    task : Task
    budget : Budget
    patch, batch, features : optional
        Taken as they are.
    voxels : float, optional
        Of the whole data set; ``cases`` times ``shape`` when left out.

    Raises
    ------
    PlanRefused
        ``memory-short``: not even the smallest patch is affordable. ``patch-invalid``,
        ``features-invalid``: what was given makes no network.
    """
    if patch is None:
        patch, network = _shrunk(spacing, shape, task, budget, features)
    else:
        network = network_of(spacing, patch, task, features)
        if (whole := network.topology.padded(patch)) != patch:
            raise PlanRefused(
                "patch-invalid", f"The network halves a patch of {_by(patch)} voxels unevenly",
                do=f"Take {_by(whole)}",
            )  # fmt: skip
    if batch is None:
        batch = budget.batch(network, patch, voxels or task.cases * math.prod(shape))
    return Configuration(tuple(spacing), tuple(shape), patch, batch, network)


def network_of(
    spacing: Sequence[float], patch: Sequence[int], task: Task, features: Sizes | None = None
) -> Architecture:
    """Return the network for a patch: its topology, features doubling up to a limit."""
    topology = topology_of(spacing, patch)
    if features is None:
        most = MOST_FEATURES[len(patch)]
        features = tuple(min(task.first_features * 2**n, most) for n in range(topology.stages))
    elif not 2 <= len(features) <= topology.stages:
        raise PlanRefused(
            "features-invalid",
            f"A patch of {_by(patch)} voxels can be halved for {topology.stages} stages, "
            f"plan.features names {len(features)}",
        )
    kept = len(features)
    coarsest = (3,) * len(patch)
    topology = Topology((*topology.kernels[: kept - 1], coarsest), topology.strides[:kept])
    return Architecture(task.kind, topology, features, task.channels, task.classes)


def _shrunk(
    spacing: Sequence[float],
    shape: Sequence[float],
    task: Task,
    budget: Budget,
    features: Sizes | None,
) -> tuple[Sizes, Architecture]:
    first = _first_patch(spacing, shape)
    for edge in (2 * SMALLEST_EDGE, 3 * SMALLEST_EDGE):
        if topology_of(spacing, first).stages < 2:  # a tiny case is padded: two stages at least
            first = [max(n, edge) for n in first]
    network = network_of(spacing, first, task, features)
    patch = network.topology.padded(first)
    while not budget.fits(network, patch):
        smaller = [
            (patch[axis] / shape[axis], axis, less)
            for axis in range(len(patch))
            if (less := _less(spacing, patch, network, axis))[axis] >= SMALLEST_EDGE
            and topology_of(spacing, less).stages >= (len(features) if features else 2)
        ]
        if not smaller:
            raise PlanRefused(
                "memory-short", f"Not even a patch of {_by(patch)} voxels fits",
                do="Give more memory or time, or plan fewer features: --set plan.features=[8,16]",
            )  # fmt: skip
        _, _, less = max(smaller)
        network = network_of(spacing, less, task, features)
        patch = network.topology.padded(less)
    return patch, network


def _less(spacing: Sequence[float], patch: Sizes, network: Architecture, axis: int) -> list[int]:
    """Return a patch one step smaller along an axis.

    The step itself may halve the divisor (256 - 64 would skip 224, which is good), so it is
    the divisor that the smaller patch has.
    """
    less = list(patch)
    less[axis] -= network.topology.divisors[axis]
    if less[axis] > 0:
        less[axis] = patch[axis] - topology_of(spacing, less).divisors[axis]
    return less


def _first_patch(spacing: Sequence[float], shape: Sequence[float]) -> list[int]:
    """Return a patch of the spacing's aspect ratio, cut to the median case."""
    rank = len(spacing)
    fine = [1 / s for s in spacing]
    scale = (FIRST_EDGE[rank] ** rank / math.prod(fine)) ** (1 / rank)
    return [max(1, int(min(round(f * scale), n))) for f, n in zip(fine, shape, strict=True)]


def low_resolution(full: Configuration, task: Task, budget: Budget) -> Configuration | None:
    """Return a coarser configuration whose patch shows a quarter of a case, or None.

    None where the full resolution already does, or where it would hardly be coarser.
    Anisotropic voxels are made alike first (nnU-Net's ``3d_lowres``).
    """
    spacing, found, voxels = list(full.spacing), full, math.prod(full.shape)
    while math.prod(found.patch) / voxels < LOW_RESOLUTION:
        finer = [max(spacing) / s > 2 for s in spacing]
        spacing = [s * COARSER if fine or not any(finer) else s
                   for s, fine in zip(spacing, finer, strict=True)]  # fmt: skip
        size = [f / s * n for f, s, n in zip(full.spacing, spacing, full.shape, strict=True)]
        voxels = math.prod(size)
        found = configured(
            spacing, [round(n) for n in size], task, budget, voxels=task.cases * voxels
        )
    if found is full or math.prod(full.shape) / voxels < HARDLY_COARSER:
        return None
    return found


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))
