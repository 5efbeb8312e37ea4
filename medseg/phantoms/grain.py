"""Texture of organs and noise of a scanner, the same numbers on every machine."""

from __future__ import annotations

import numpy as np

from medseg.geometry import Geometry, Shape

WAVES = 7  # enough that no direction is seen
WAVELENGTH_MM = (14.0, 60.0)
BIT_DEVIATION = 4.0  # of the number of ones among 64 fair bits
KERNEL_GAIN = 6.0  # deviation gained by [1, 2, 1] along two axes: the root of its squares


def noise(shape: Shape, seed: int, deviation: float) -> np.ndarray:
    """Return ``(I, J, K)`` noise in HU, near normal, correlated over about two voxels of i and j.

    Made of counted bits: Philox' raw stream is promised never to change (NEP 19), that of
    ``standard_normal`` is not, and its logarithms differ between machines.
    """
    raw = np.random.Philox(seed).random_raw(int(np.prod(shape)))
    ones = np.bitwise_count(raw).astype(np.int16).reshape(shape) - 32
    for axis in (0, 1):
        ones = np.roll(ones, 1, axis) + 2 * ones + np.roll(ones, -1, axis)
    return ones * np.float32(deviation / (BIT_DEVIATION * KERNEL_GAIN))


def texture(geometry: Geometry, seed: int) -> np.ndarray:
    """Return ``(I, J, K)`` smooth unevenness in patient space, about -1 to 1."""
    rng = np.random.default_rng(seed)
    i, j, k = (x.astype(np.float32) for x in np.ogrid[tuple(slice(n) for n in geometry.shape)])
    total = np.zeros(geometry.shape, np.float32)
    for _ in range(WAVES):
        step = rng.uniform(-1, 1, 3)
        step /= np.sqrt((step * step).sum()) * rng.uniform(*WAVELENGTH_MM)
        a, b, c = (step @ geometry.affine[:3, :3]).astype(np.float32)
        start = np.float32(step @ geometry.affine[:3, 3] + rng.uniform())
        phase = a * i + (b * j + c * k) + start
        phase -= np.floor(phase)
        half = np.abs(2 * phase - 1)  # 0 to 1 and back
        total += half * half * (6 - 4 * half) - 1  # smooth at both ends, -1 to 1
    return total * np.float32(1 / np.sqrt(WAVES))
