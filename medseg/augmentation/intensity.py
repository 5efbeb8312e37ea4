"""Noise, blur, brightness, contrast, resolution and gamma on normalised patches.

Kinds, order, probabilities and ranges follow nnU-Net 2 (Isensee et al. 2021); each class
draws its numbers apart from applying them, so that any sample can be made again.
Albumentations' intensity transforms clip float images to [0, 1] and are not used here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from scipy import ndimage

Drawn = dict[str, Any]


class Intensity(Protocol):
    """Changes the values of a patch ``(I, J, K)`` of one channel."""

    @property
    def probability(self) -> float:
        """How often it is applied."""
        ...

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw the numbers of one application."""
        ...

    def apply(self, patch: np.ndarray, drawn: Drawn) -> np.ndarray:
        """Return the changed patch."""
        ...


def _around_one(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw below one or above one with equal chance, evenly within each side."""
    return float(rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high))


@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """Add white noise of a deviation up to ``deviation`` of the patch's own units."""

    probability: float = 0.1
    deviation: float = 0.1

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw the deviation and the seed of the noise."""
        return {"deviation": rng.uniform(0, self.deviation), "seed": int(rng.integers(2**63))}

    def apply(self, patch: np.ndarray, drawn: Drawn) -> np.ndarray:
        """Return the patch with noise."""
        noise = np.random.default_rng(drawn["seed"]).standard_normal(patch.shape, np.float32)
        return patch + noise * np.float32(drawn["deviation"])


@dataclass(frozen=True, slots=True)
class GaussianBlur:
    """Blur with a sigma in voxels, drawn for each axis."""

    probability: float = 0.1
    sigmas: tuple[float, float] = (0.5, 1.0)

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw a sigma for each axis."""
        return {"sigmas": tuple(rng.uniform(*self.sigmas, 3).tolist())}

    def apply(self, patch: np.ndarray, drawn: Drawn) -> np.ndarray:
        """Return the blurred patch."""
        return ndimage.gaussian_filter(patch, drawn["sigmas"], truncate=3.0)


@dataclass(frozen=True, slots=True)
class Brightness:
    """Multiply by a factor."""

    probability: float = 0.15
    factors: tuple[float, float] = (0.75, 1.25)

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw the factor."""
        return {"factor": _around_one(rng, *self.factors)}

    def apply(self, patch: np.ndarray, drawn: Drawn) -> np.ndarray:
        """Return the brighter or darker patch."""
        return patch * np.float32(drawn["factor"])


@dataclass(frozen=True, slots=True)
class Contrast:
    """Stretch about the mean by a factor, within the old range."""

    probability: float = 0.15
    factors: tuple[float, float] = (0.75, 1.25)

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw the factor."""
        return {"factor": _around_one(rng, *self.factors)}

    def apply(self, patch: np.ndarray, drawn: Drawn) -> np.ndarray:
        """Return the patch with more or less contrast."""
        mean = patch.mean()
        stretched = (patch - mean) * np.float32(drawn["factor"]) + mean
        return np.clip(stretched, patch.min(), patch.max())


@dataclass(frozen=True, slots=True)
class LowResolution:
    """Sample down to the nearest voxel and up again linearly, as a coarser scan would be."""

    probability: float = 0.125
    factors: tuple[float, float] = (0.5, 1.0)

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw the factor."""
        return {"factor": rng.uniform(*self.factors)}

    def apply(self, patch: np.ndarray, drawn: Drawn) -> np.ndarray:
        """Return the coarse patch on its own grid."""
        coarse = patch
        for axis, size in enumerate(patch.shape):
            few = max(1, round(size * float(drawn["factor"])))
            coarse = coarse.take(((np.arange(few) + 0.5) * size / few).astype(int), axis)
        return _linear(coarse, patch.shape)


def _linear(patch: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a patch linearly resized, edges meeting edges."""
    i, j, k = shape
    flat = cv2.resize(patch.reshape(len(patch), -1), (patch[0].size, i))
    planes = [cv2.resize(plane, (k, j)) for plane in flat.reshape(i, *patch.shape[1:])]
    return np.stack(planes)


@dataclass(frozen=True, slots=True)
class Gamma:
    """Raise the values, scaled to their range, to a power; mean and deviation are kept."""

    probability: float = 0.3
    powers: tuple[float, float] = (0.7, 1.5)
    inverted: bool = False

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw the power."""
        return {"power": _around_one(rng, *self.powers)}

    def apply(self, patch: np.ndarray, drawn: Drawn) -> np.ndarray:
        """Return the patch with another gamma; a constant one comes back as it was."""
        low, high = patch.min(), patch.max()
        if high - low < 1e-7:
            return patch
        sign = np.float32(-1 if self.inverted else 1)
        scaled = (patch - low) / (high - low)
        scaled = 1 - scaled if self.inverted else scaled
        bent = sign * np.power(scaled, np.float32(drawn["power"]))
        return (bent - bent.mean()) / max(bent.std(), 1e-7) * patch.std() + patch.mean()
