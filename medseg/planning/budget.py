"""What limits patch and batch: nnU-Net's count of feature maps, or bytes and multiplications."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from medseg.planning.memory import (
    Architecture,
    Kind,
    Optimizer,
    Precision,
    feature_map_elements,
    step_memory,
)

SMALLEST_BATCH = 2  # instance norm needs no more, and a gradient of one patch is noisy
BACKWARD = 3  # a training step multiplies as often as three predictions: once forth, twice back

PresetName = Literal["plain", "resenc-m", "resenc-l", "resenc-xl"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A network and the memory it is planned for, as nnU-Net names them.

    Attributes
    ----------
    kind : {"unet", "residual_unet"}
    vram_gb : float
        The graphics card that it is meant for.
    volume, plane : float
        nnU-Net's reference numbers of feature-map elements at that memory, in 3-D and in 2-D.
    covered : float
        Largest share of all voxels of the data set that one batch may hold.
    """

    kind: Kind
    vram_gb: float
    volume: float
    plane: float
    covered: float


# nnU-Net 2.8: experiment_planners/{default_experiment_planner.py, residual_unets/*.py}
PRESETS: dict[str, Preset] = {
    "plain": Preset("unet", 8, 560e6, 85e6, 0.05),
    "resenc-m": Preset("residual_unet", 8, 680e6, 135e6, 1.0),
    "resenc-l": Preset("residual_unet", 24, 2.1e9, 380e6, 1.0),
    "resenc-xl": Preset("residual_unet", 40, 3.6e9, 560e6, 1.0),
}


class Budget(Protocol):
    """Says whether a patch is affordable, and how many of them make a batch."""

    def fits(self, network: Architecture, patch: Sequence[int]) -> bool:
        """Return whether the smallest batch of such patches is affordable."""
        ...

    def batch(self, network: Architecture, patch: Sequence[int], voxels: float) -> int:
        """Return the number of patches in a batch, for a data set of so many voxels."""
        ...


@dataclass(frozen=True, slots=True)
class Elements:
    """nnU-Net's budget: output elements of convolutions against a reference network's."""

    preset: Preset
    vram_gb: float

    def fits(self, network: Architecture, patch: Sequence[int]) -> bool:
        """Return whether the estimate lies below the reference; plain 2-D counts two of twelve."""
        estimate = feature_map_elements(network, patch)
        share = 2 / _reference_batch(patch) if self.preset.kind == "unet" else 1
        return estimate * share <= self._reference(patch)

    def batch(self, network: Architecture, patch: Sequence[int], voxels: float) -> int:
        """Return what fills the reference, capped by the share of the data set."""
        ratio = self._reference(patch) / feature_map_elements(network, patch)
        largest = round(voxels * self.preset.covered / math.prod(patch))
        return max(min(round(ratio * _reference_batch(patch)), largest), SMALLEST_BATCH)

    def _reference(self, patch: Sequence[int]) -> float:
        elements = self.preset.plane if len(patch) == 2 else self.preset.volume
        return elements * (self.vram_gb / self.preset.vram_gb)


def _reference_batch(patch: Sequence[int]) -> int:
    return 12 if len(patch) == 2 else 2


@dataclass(frozen=True, slots=True)
class Bytes:
    """medseg's budget: the computed bytes of a training step, and its time on a CPU.

    Attributes
    ----------
    usable : float
        Bytes for activations, gradients, weights and optimizer.
    precision : {"f32", "bf16", "f16"}
    optimizer : {"sgd", "adamw"}
    covered : float
        Largest share of all voxels of the data set that one batch may hold.
    multiplications : float
        Multiply-adds that one step may take; infinite on a GPU.
    fill : bool
        Whether a batch takes all the memory there is; else it has the smallest size (2-D:
        nnU-Net's twelve).
    """

    usable: float
    precision: Precision
    optimizer: Optimizer = "sgd"
    covered: float = 0.05
    multiplications: float = math.inf
    fill: bool = True

    def fits(self, network: Architecture, patch: Sequence[int]) -> bool:
        """Return whether two patches fit in memory and in a step's time."""
        return self._fits(network, patch, SMALLEST_BATCH)

    def batch(self, network: Architecture, patch: Sequence[int], voxels: float) -> int:
        """Return the largest batch that fits, at most ``covered`` of the data set."""
        largest = round(voxels * self.covered / math.prod(patch))
        if not self.fill:
            largest = min(largest, _reference_batch(patch))
        low, high = SMALLEST_BATCH, max(SMALLEST_BATCH, largest)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._fits(network, patch, middle) else (low, middle - 1)
        return low

    def _fits(self, network: Architecture, patch: Sequence[int], batch: int) -> bool:
        memory = step_memory(
            network, patch, batch, precision=self.precision, optimizer=self.optimizer
        )
        work = BACKWARD * batch * network.multiplications(patch)
        return memory.total <= self.usable and work <= self.multiplications
