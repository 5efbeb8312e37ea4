"""How often a U-Net halves its grid, along which axes, and what its convolutions see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Sizes = tuple[int, ...]

SMALLEST_EDGE = 4  # voxels that the coarsest feature map keeps along a halved axis
ALIKE = 2  # axes whose spacings lie within this factor are halved and convolved together


@dataclass(frozen=True, slots=True)
class Topology:
    """Kernels and strides of each stage, finest first; the first stride is all ones."""

    kernels: tuple[Sizes, ...]
    strides: tuple[Sizes, ...]

    @property
    def stages(self) -> int:
        """Resolutions of the network, the full one included."""
        return len(self.strides)

    @property
    def divisors(self) -> Sizes:
        """What the patch must be a multiple of, axis by axis."""
        return tuple(math.prod(axis) for axis in zip(*self.strides, strict=True))

    def padded(self, patch: Sequence[int]) -> Sizes:
        """Return the smallest patch around this one that the strides divide."""
        return tuple(math.ceil(n / d) * d for n, d in zip(patch, self.divisors, strict=True))


def topology_of(spacing: Sequence[float], patch: Sequence[int]) -> Topology:
    """Return the topology that suits a patch: nnU-Net's ``get_pool_and_conv_props``.

    Axes of the finest spacing are halved, and those within a factor of two of it, while they
    have eight voxels or more (a lone axis: twelve). A kernel is 1 along an axis until its
    spacing comes within a factor of two of the finest, then 3; the coarsest stage has 3
    everywhere. (Isensee et al., Nature Methods 2021, supplement 3.)

    Parameters
    ----------
    spacing : sequence of float
        Voxel size along each axis in mm; two or three axes.
    patch : sequence of int
        Voxels; need not be a multiple of anything.

    Examples
    --------
    >>> found = topology_of((3.6, 0.625, 0.625), (20, 320, 256))
    >>> found.strides[:4], found.kernels[:3]
    (((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2)), ((1, 3, 3), (1, 3, 3), (3, 3, 3)))
    """
    rank = len(spacing)
    now, size = list(spacing), list(patch)
    kernel, kernels, strides = [1] * rank, [], [(1,) * rank]
    while axes := _halved(now, size):
        kernel = [3 if k == 3 or s / min(now) < ALIKE else 1
                  for k, s in zip(kernel, now, strict=True)]  # fmt: skip
        kernels.append(tuple(kernel))
        strides.append(tuple(2 if axis in axes else 1 for axis in range(rank)))
        for axis in axes:
            now[axis] *= 2
            size[axis] = math.ceil(size[axis] / 2)
    return Topology((*kernels, (3,) * rank), tuple(strides))


def _halved(spacing: Sequence[float], size: Sequence[int]) -> list[int]:
    """Return the axes along which the next stage halves; none ends the encoder."""
    large = [axis for axis, n in enumerate(size) if n >= 2 * SMALLEST_EDGE]
    if not large:
        return []
    finest = min(spacing[axis] for axis in large)
    axes = [axis for axis in large if spacing[axis] / finest < ALIKE]
    if len(axes) == 1 and size[axes[0]] < 3 * SMALLEST_EDGE:
        return []
    return axes
