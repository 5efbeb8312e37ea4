"""What a training will cost, said before it starts: hours, memory, disk, seconds a scan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medseg.datasets.store import IMAGE_BYTES, classes_dtype
from medseg.planning.fingerprint import AXES, Fingerprint
from medseg.planning.memory import Architecture, Optimizer, Precision, step_memory
from medseg.planning.propose import FRAMEWORK_GB
from medseg.planning.speed import Device, Speed

AHEAD = 6  # batches that wait to be trained on, the one in work included: the queue of training


@dataclass(frozen=True, slots=True)
class Training:
    """The parts of a training config that cost something.

    Attributes
    ----------
    network : Architecture
    orientation : str
    spacing, patch : three numbers along the axes of ``orientation``
    batch, steps : int
        Patches in a step, and steps in all.
    """

    network: Architecture
    orientation: str
    spacing: tuple[float, float, float]
    patch: tuple[int, int, int]
    batch: int
    steps: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """The patch as the network sees it: two sizes in 2-D."""
        return self.patch[1:] if self.patch[0] == 1 else self.patch


@dataclass(frozen=True, slots=True)
class Cost:
    """What a training takes.

    Attributes
    ----------
    parameters : int
    step_gb : float
        Memory of a training step: of the graphics card, or part of ``ram_gb`` on a CPU.
    ram_gb : float
        The most that the process will hold.
    disk_gb : float
        Of prepared cases and of the checkpoint, while training runs.
    step_seconds, hours, scan_seconds : float or None
        None where there was no machine of that kind to measure on.
    """

    parameters: int
    step_gb: float
    ram_gb: float
    disk_gb: float
    step_seconds: float | None = None
    hours: float | None = None
    scan_seconds: float | None = None


def cost_of(
    training: Training,
    measured: Fingerprint,
    *,
    device: Device,
    precision: Precision,
    optimizer: Optimizer,
    speed: Speed | None = None,
) -> Cost:
    """Return what a training on a data set costs.

    Cases, the held-out ones too, are stored as float16 with the class of each voxel and are
    memory-mapped, so that the store counts as disk and not as memory.
    """
    network, sizes = training.network, training.sizes
    order = [AXES.index(_ALONG.get(letter, letter)) for letter in training.orientation]
    shapes = np.array([case.shape for case in measured.cases])[:, order]
    spacings = measured.spacings[:, order]
    grids = np.maximum(1, np.rint(shapes * spacings / training.spacing))
    voxels, originals = grids.prod(axis=1), shapes.prod(axis=1)
    channels = len(measured.channels)
    step = step_memory(
        network, sizes, training.batch, precision=precision, optimizer=optimizer,
        averaged=optimizer == "adamw",
    ).total  # fmt: skip
    waiting = AHEAD * training.batch * math.prod(sizes) * 4 * (channels + 1)
    # a case as it was read, turned, and on its new grid before and after normalising
    preparing = 4 * float((originals * (channels + 1) + 2 * voxels * channels).max())
    working = waiting + (step if device == "cpu" else 0)
    classes = classes_dtype(len(measured.labels) + 1).itemsize
    store = float(voxels.sum()) * (IMAGE_BYTES * channels + classes)
    checkpoint = network.parameters * 4 * (3 if optimizer == "sgd" else 4)
    return Cost(
        parameters=network.parameters,
        step_gb=step / 1e9,
        ram_gb=FRAMEWORK_GB + max(preparing, working) / 1e9,
        disk_gb=(store + checkpoint) / 1e9,
        **_times(training, np.median(grids, axis=0).tolist(), speed),
    )


def _times(training: Training, shape: Sequence[float], speed: Speed | None) -> dict[str, float]:
    if speed is None:
        return {}
    step = speed.step_seconds(training.network, training.sizes, training.batch)
    return {
        "step_seconds": step,
        "hours": step * training.steps / 3600,
        "scan_seconds": speed.scan_seconds(training.network, training.sizes, shape),
    }


_ALONG = {"L": "R", "P": "A", "I": "S"}
