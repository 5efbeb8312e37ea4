"""From a fingerprint to a proposal: every value of a training's plan, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from pydantic import PositiveFloat

from medseg.errors import PlanRefused
from medseg.plan import Count, Frozen
from medseg.planning.budget import PRESETS, Budget, Bytes, Elements, PresetName
from medseg.planning.configuration import Configuration, Task, configured, low_resolution
from medseg.planning.fingerprint import AXES, Fingerprint
from medseg.planning.memory import Optimizer, Precision
from medseg.planning.speed import Device, Speed

ANISOTROPIC = 3  # times coarser, and times fewer voxels, than the other axes: nnU-Net's threshold
USABLE = 0.8  # of the memory: the rest is for workspaces of convolutions and for the system
FRAMEWORK_GB = 1.0  # Python, Keras and its backend before the first step; measured 0.8 on a CPU
FIRST_FEATURES = (32, 24, 16, 12, 8)  # tried in turn until a scan is quick enough on a CPU
COARSER, COARSEST = 1.1, 4.0  # then the grid is coarsened in such steps, up to this factor
_OPPOSITE = {"L": "R", "P": "A", "I": "S"}
ENOUGH = {2: 192**2, 3: 64**3}  # voxels: below, a patch shows texture and no anatomy
LEAST_STEPS = 2500  # hippocampus-mr was trained in 2600
CPU_HOURS = 8.0  # a night

Which = Literal["3d_fullres", "3d_lowres", "2d"]
Triple = tuple[float, float, float]


class Given(Frozen):
    """Values that the user has decided; the rest is planned around them."""

    orientation: str | None = None
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
    patch: tuple[Count, Count, Count] | None = None
    features: tuple[Count, ...] | None = None
    batch: Count | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a plan is for.

    Attributes
    ----------
    device : {"gpu", "cpu"}
    memory_gb : float, optional
        Of the graphics card, or the free RAM of a machine without; the card that a preset is
        meant for when left out.
    preset : str
        A key of ``PRESETS``.
    nnunet : bool
        nnU-Net's budget and rules to the letter.
    precision : {"f32", "bf16", "f16"}
        That training will compute in.
    seconds_per_scan : float, optional
        That a CPU may take for the tiles of a median case.
    hours : float, optional
        Of training on a CPU.
    which : str, optional
        Configuration to train; 3-D at full resolution where the data allow it.
    given : Given
    """

    device: Device = "gpu"
    memory_gb: float | None = None
    preset: PresetName = "plain"
    nnunet: bool = False
    precision: Precision = "f16"
    seconds_per_scan: float | None = None
    hours: float = CPU_HOURS
    which: Which | None = None
    given: Given = field(default_factory=Given)

    @property
    def optimizer(self) -> Optimizer:
        """SGD for nnU-Net's long schedule, AdamW for the few steps of a CPU."""
        return "adamw" if self.device == "cpu" else "sgd"

    @property
    def gigabytes(self) -> float:
        """Memory that the plan is for."""
        return PRESETS[self.preset].vram_gb if self.memory_gb is None else self.memory_gb


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the network of a data set works.

    Attributes
    ----------
    orientation : str
        Axis order of all that follows: the coarsest axis first.
    spacing : (float, float, float)
        mm.
    shape : (float, float, float)
        Median voxels of a case at that spacing, cropped to what is not 0.
    whole : (float, float, float)
        The same before cropping: what prediction has to go through.
    why : str
        How the spacing came about.
    """

    orientation: str
    spacing: Triple
    shape: Triple
    whole: Triple
    why: str

    @property
    def flat(self) -> bool:
        """Whether the cases are single slices."""
        return round(self.whole[0]) == 1

    def coarsened(self, factor: float) -> Grid:
        """Return the grid with no voxel side below ``factor`` times the finest."""
        spacing = [max(s, min(self.spacing) * factor) for s in self.spacing]
        ratios = [old / new for old, new in zip(self.spacing, spacing, strict=True)]
        shape, size = ([max(1.0, n * r) for n, r in zip(sizes, ratios, strict=True)]
                       for sizes in (self.shape, self.whole))  # fmt: skip
        why = f"{self.why}; coarsened by {factor:.2g} to be quick enough"
        return replace(self, spacing=_three(spacing), shape=_three(shape), whole=_three(size),
                       why=why)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to train.

    Attributes
    ----------
    grid : Grid
        Of full resolution.
    which : str
        The configuration to train.
    configurations : dict of Configuration
        All that the data allow, by nnU-Net's names; the one to train among them.
    request : Request
        What it was planned for.
    """

    grid: Grid
    which: Which
    configurations: dict[str, Configuration]
    request: Request

    @property
    def chosen(self) -> Configuration:
        """The configuration to train."""
        return self.configurations[self.which]

    @property
    def spacing(self) -> Triple:
        """Voxel size of the chosen configuration along all three axes, mm."""
        if self.which == "2d":
            return self.grid.spacing
        return _three(self.chosen.spacing)

    @property
    def patch(self) -> tuple[int, int, int]:
        """Patch of the chosen configuration along all three axes."""
        i, j, k = (1, *self.chosen.patch) if self.which == "2d" else self.chosen.patch
        return i, j, k

    @property
    def scan_shape(self) -> Triple:
        """Voxels of a whole median case on the chosen grid."""
        factors = np.divide(self.grid.spacing, self.spacing)
        return _three((np.array(self.grid.whole) * factors).tolist())


def target_spacing(spacings: np.ndarray, shapes: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the spacing to train on, in mm, and why.

    The median along each axis; but where one axis is more than three times coarser than the
    others and has three times fewer voxels, the 10th percentile along it, never finer than
    the others (nnU-Net's ``determine_fullres_target_spacing``).

    Parameters
    ----------
    spacings, shapes : (N, 3) arrays
        Of all cases: mm, voxels.

    Examples
    --------
    >>> spacing, _ = target_spacing(
    ...     np.array([[5.0, 1, 1], [3, 1, 1], [9, 1, 1]]), np.array([[20, 256, 256]] * 3)
    ... )
    >>> spacing.round(2).tolist()
    [3.4, 1.0, 1.0]
    """
    target, size = np.median(spacings, axis=0), np.median(shapes, axis=0)
    worst = int(target.argmax())
    others = np.delete(target, worst)
    coarse = target[worst] > ANISOTROPIC * others.max()
    thin = size[worst] * ANISOTROPIC < np.delete(size, worst).min()
    if not (coarse and thin):
        return target, "the median of all cases along each axis"
    fine = float(np.percentile(spacings[:, worst], 10))
    target[worst] = fine if fine >= others.max() else others.max() + 1e-5
    return target, (
        f"the median in plane; across slices, over {ANISOTROPIC} times coarser with under a third "
        f"of the voxels, the 10th percentile, so that fine cases keep their detail"
    )


def grid_of(measured: Fingerprint, given: Given) -> Grid:
    """Return the grid to plan on: target spacing, coarsest axis first, median shapes on it."""
    spacings, cropped = measured.spacings, measured.shapes
    whole = np.array([case.shape for case in measured.cases])
    target, why = target_spacing(spacings, cropped)
    flat = np.flatnonzero(np.median(whole, axis=0) == 1)
    first = int(flat[0]) if len(flat) else int(target.argmax())
    if len(flat):  # one slice is one slice, whatever thickness its header says
        target[first] = spacings[:, first].max()
        why = "the median in plane; the cases are single slices"
    order = [first, *(axis for axis in range(3) if axis != first)]
    if given.orientation is not None:
        order = _order_of(given.orientation)
    orientation = given.orientation or "".join(AXES[axis] for axis in order)
    spacing = target[order]
    if given.spacing is not None:
        spacing, why = np.array(given.spacing), "as you set it"
    medians = [
        np.median(np.maximum(1, np.rint(sizes[:, order] * spacings[:, order] / spacing)), axis=0)
        for sizes in (cropped, whole)
    ]
    return Grid(
        orientation, _three(spacing.tolist()), _three(medians[0].tolist()),
        _three(medians[1].tolist()), why,
    )  # fmt: skip


def propose(measured: Fingerprint, request: Request, speed: Speed | None = None) -> Proposal:
    """Propose what to train on a data set.

    For a GPU the memory decides. For a CPU a step must also be short enough for
    ``LEAST_STEPS`` in the hours of training; the network is made slimmer rather than have a
    patch see less than ``ENOUGH``. Where ``seconds_per_scan`` is asked for, the network is made
    slimmer and then the grid coarser until the tiles of a median case take no longer.

    Parameters
    ----------
    measured : Fingerprint
    request : Request
    speed : Speed, optional
        Of this machine; needed for a CPU.

    Raises
    ------
    PlanRefused
        ``memory-short``, ``time-short``: no network is small or quick enough.
        ``configuration-missing``: the data do not allow the one that was asked for.
        ``patch-invalid``, ``features-invalid``, ``orientation-invalid``: what was given makes
        no network.
    """
    if request.device == "cpu" and speed is None:
        raise ValueError("a plan for a CPU needs its speed")
    task = Task(len(measured.channels), len(measured.labels) + 1, len(measured.cases),
                PRESETS[request.preset].kind)  # fmt: skip
    budget, seconds = _budget(request, speed), 0.0
    limit = math.inf if request.seconds_per_scan is None else request.seconds_per_scan
    for grid, first in _ever_quicker(grid_of(measured, request.given), request):
        configurations = _configurations(grid, replace(task, first_features=first), budget, request)
        proposal = Proposal(grid, _which(configurations, request), configurations, request)
        if request.device == "gpu" or speed is None:
            return proposal
        chosen = proposal.chosen
        seconds = speed.scan_seconds(chosen.network, chosen.patch, proposal.scan_shape)
        slimmest = first == FIRST_FEATURES[-1] or request.given.features is not None
        if seconds <= limit and (slimmest or _sees_enough(chosen)):
            return proposal
    raise PlanRefused(
        "time-short", f"A median case would take {seconds:.0f} s, {limit:g} s are allowed",
        do="Allow more, or give fewer features or a coarser spacing",
    )  # fmt: skip


def _sees_enough(chosen: Configuration) -> bool:
    """Return whether a patch shows the whole median case, or at least ``ENOUGH`` of it."""
    whole = all(p >= n for p, n in zip(chosen.patch, chosen.shape, strict=True))
    return whole or math.prod(chosen.patch) >= ENOUGH[len(chosen.patch)]


def _ever_quicker(grid: Grid, request: Request) -> Iterator[tuple[Grid, int]]:
    """Yield grids and first features, the best first; what the user gave stays."""
    widths = FIRST_FEATURES[:1] if request.given.features else FIRST_FEATURES
    yield from ((grid, first) for first in widths)
    factor = COARSER
    while request.given.spacing is None and factor <= COARSEST:
        yield grid.coarsened(factor), widths[-1]
        factor *= COARSER


def _budget(request: Request, speed: Speed | None) -> Budget:
    preset = PRESETS[request.preset]
    if request.nnunet:
        return Elements(preset, request.gigabytes)
    usable = (request.gigabytes * USABLE - FRAMEWORK_GB) * 1e9
    if request.device == "gpu" or speed is None:
        return Bytes(usable, request.precision, covered=preset.covered)
    work = speed.training * request.hours * 3600 / LEAST_STEPS
    return Bytes(usable, request.precision, "adamw", multiplications=work, fill=False)


def _configurations(
    grid: Grid, task: Task, budget: Budget, request: Request
) -> dict[str, Configuration]:
    """Return what the data allow: 3-D unless they are flat, low resolution, 2-D."""
    given, found = request.given, {}
    voxels = task.cases * math.prod(grid.shape)
    volume, plane = given.patch, None
    if given.patch is not None and given.patch[0] == 1:
        volume, plane = None, given.patch[1:]
    if not grid.flat and plane is None:
        found["3d_fullres"] = full = configured(
            grid.spacing, grid.shape, task, budget,
            patch=volume, batch=given.batch, features=given.features,
        )  # fmt: skip
        if low := low_resolution(full, task, budget):
            found["3d_lowres"] = low
    if volume is None:
        found["2d"] = configured(
            grid.spacing[1:], grid.shape[1:], task, budget, voxels=voxels,
            patch=plane, batch=given.batch, features=given.features,
        )  # fmt: skip
    return found


def _which(configurations: dict[str, Configuration], request: Request) -> Which:
    which: Which = request.which or ("3d_fullres" if "3d_fullres" in configurations else "2d")
    if which not in configurations:
        raise PlanRefused(
            "configuration-missing", f"This data set does not allow {which}",
            do=f"Take one of: {', '.join(configurations)}",
        )  # fmt: skip
    return which


def _order_of(orientation: str) -> list[int]:
    """Return for each letter of an orientation code the axis of the fingerprint."""
    order = [AXES.find(_OPPOSITE.get(letter, letter)) for letter in orientation]
    if sorted(order) != [0, 1, 2]:
        raise PlanRefused("orientation-invalid", f"{orientation!r} is no orientation code",
                          do="Use three letters such as SAR or RAS")  # fmt: skip
    return order


def _three(sizes: Sequence[float]) -> Triple:
    i, j, k = (float(n) for n in sizes)
    return i, j, k
