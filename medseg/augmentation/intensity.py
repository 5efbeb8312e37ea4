"""Noise, blur, brightness, contrast, resolution and gamma of normalised patches.

Kinds, order, probabilities and ranges are nnU-Net 2's (Isensee et al., Nature Methods 2021;
batchgeneratorsv2). Each class draws its numbers apart from applying them, so that any sample can
be made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import cv2
import numpy as np
from pydantic import Field

from medseg.augmentation.ranges import Chance, NotNegative, Positive, Span

Drawn = dict[str, Any]
Share = Chance  # of the channels of a sample that is chosen
Less = Annotated[float, Field(gt=0, le=1)]


class Intensity(Protocol):
    """Changes the values of the channels of a patch."""

    @property
    def probability(self) -> float:
        """How many of the samples are chosen."""
        ...

    def draw(self, rng: np.random.Generator, channels: int) -> list[Drawn | None]:
        """Draw the numbers of each channel of a chosen sample; None leaves one as it is."""
        ...

    def apply(self, patch: np.ndarray, drawn: Drawn, *, flat: bool = False) -> np.ndarray:
        """Return a changed channel ``(I, J, K)`` float32; the given one may be overwritten."""
        ...


def _around_one(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw below one or above one with equal chance, evenly within each side."""
    if rng.random() < 0.5 and low < 1:
        return float(rng.uniform(low, min(1, high)))
    return float(rng.uniform(max(low, 1), max(high, 1)))


@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """Add white noise; its deviation is one for all channels, its values are not."""

    probability: Chance = 0.1
    deviation: Span[NotNegative] = (0.0, 0.1)  # nnU-Net calls it a variance and uses it so

    def draw(self, rng: np.random.Generator, channels: int) -> list[Drawn | None]:
        """Draw the deviation and the seeds of the noise."""
        deviation = rng.uniform(*self.deviation)
        return [{"deviation": deviation, "seed": int(rng.integers(2**63))} for _ in range(channels)]

    def apply(self, patch: np.ndarray, drawn: Drawn, *, flat: bool = False) -> np.ndarray:
        """Return the channel with noise."""
        # SFC64 is the quickest of NumPy's generators
        generator = np.random.Generator(np.random.SFC64(drawn["seed"]))
        noise = generator.standard_normal(patch.shape, np.float32)
        noise *= np.float32(drawn["deviation"])
        patch += noise
        return patch


@dataclass(frozen=True, slots=True)
class GaussianBlur:
    """Blur with a sigma in voxels, drawn for each channel and axis."""

    probability: Chance = 0.2
    channel_probability: Share = 0.5
    sigmas: Span[Positive] = (0.5, 1.0)

    def draw(self, rng: np.random.Generator, channels: int) -> list[Drawn | None]:
        """Draw a sigma for each axis."""
        return [{"sigmas": tuple(rng.uniform(*self.sigmas, 3).tolist())}
                if rng.random() < self.channel_probability else None
                for _ in range(channels)]  # fmt: skip

    def apply(self, patch: np.ndarray, drawn: Drawn, *, flat: bool = False) -> np.ndarray:
        """Return the blurred channel; beyond its edges it is mirrored."""
        i, j, k = (_bell(sigma) for sigma in drawn["sigmas"])
        still = np.ones(1, np.float32)
        out = cv2.sepFilter2D(patch.reshape(len(patch), -1), -1, still, i).reshape(patch.shape)
        for plane in out:
            cv2.sepFilter2D(plane, -1, k, j, plane)
        return out


def _bell(sigma: float) -> np.ndarray:
    """Return a Gaussian of sum 1, cut at four sigmas."""
    return cv2.getGaussianKernel(2 * int(4 * sigma + 0.5) + 1, sigma, cv2.CV_32F)


@dataclass(frozen=True, slots=True)
class Brightness:
    """Multiply each channel by a factor."""

    probability: Chance = 0.15
    factors: Span[Positive] = (0.75, 1.25)

    def draw(self, rng: np.random.Generator, channels: int) -> list[Drawn | None]:
        """Draw the factors."""
        return [{"factor": _around_one(rng, *self.factors)} for _ in range(channels)]

    def apply(self, patch: np.ndarray, drawn: Drawn, *, flat: bool = False) -> np.ndarray:
        """Return the brighter or darker channel."""
        patch *= np.float32(drawn["factor"])
        return patch


@dataclass(frozen=True, slots=True)
class Contrast:
    """Stretch each channel about its mean by a factor, clipped to its old range."""

    probability: Chance = 0.15
    factors: Span[Positive] = (0.75, 1.25)

    def draw(self, rng: np.random.Generator, channels: int) -> list[Drawn | None]:
        """Draw the factors."""
        return [{"factor": _around_one(rng, *self.factors)} for _ in range(channels)]

    def apply(self, patch: np.ndarray, drawn: Drawn, *, flat: bool = False) -> np.ndarray:
        """Return the channel with more or less contrast."""
        low, high = patch.min(), patch.max()
        mean, factor = patch.mean(), np.float32(drawn["factor"])
        patch *= factor
        patch += mean * (1 - factor)
        return np.clip(patch, low, high, out=patch)


@dataclass(frozen=True, slots=True)
class LowResolution:
    """Sample down to the nearest voxel and up again linearly, as a coarser scan would be.

    All axes by one factor, drawn for each channel; the first one of a flat patch is left out.
    """

    probability: Chance = 0.25
    channel_probability: Share = 0.5
    factors: Span[Less] = (0.5, 1.0)

    def draw(self, rng: np.random.Generator, channels: int) -> list[Drawn | None]:
        """Draw the factors."""
        return [{"factor": rng.uniform(*self.factors)}
                if rng.random() < self.channel_probability else None
                for _ in range(channels)]  # fmt: skip

    def apply(self, patch: np.ndarray, drawn: Drawn, *, flat: bool = False) -> np.ndarray:
        """Return the coarse channel on its own grid."""
        coarse = patch
        for axis, size in enumerate(patch.shape):
            few = max(1, round(size * float(drawn["factor"])))
            if few < size and not (flat and axis == 0):
                coarse = coarse.take(((np.arange(few) + 0.5) * size / few).astype(int), axis)
        return _enlarged(coarse, patch.shape)


def _enlarged(patch: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a patch linearly resized, edges meeting edges."""
    i, j, k = shape
    out = np.empty((len(patch), j, k), np.float32)
    for plane, large in zip(patch, out, strict=True):
        cv2.resize(plane, (k, j), large)
    return cv2.resize(out.reshape(len(patch), -1), (j * k, i)).reshape(shape)


@dataclass(frozen=True, slots=True)
class Gamma:
    """Raise the values of each channel, scaled to their range, to a power.

    Mean and deviation are kept.

    Parameters
    ----------
    inverted : bool
        Turn the values upside down first and back afterwards.
    """

    probability: Chance = 0.3
    powers: Span[Positive] = (0.7, 1.5)
    inverted: bool = False

    def draw(self, rng: np.random.Generator, channels: int) -> list[Drawn | None]:
        """Draw the powers."""
        return [{"power": _around_one(rng, *self.powers)} for _ in range(channels)]

    def apply(self, patch: np.ndarray, drawn: Drawn, *, flat: bool = False) -> np.ndarray:
        """Return the channel with another gamma; a constant one comes back as it was."""
        values = patch.reshape(len(patch), -1)
        low, high, _, _ = cv2.minMaxLoc(values)
        if high - low < 1e-7:
            return patch
        mean, deviation = (float(one[0, 0]) for one in cv2.meanStdDev(values))
        sign = -1.0 if self.inverted else 1.0
        patch -= np.float32(high if self.inverted else low)
        patch *= np.float32(sign / (high - low))  # 0 to 1
        cv2.pow(values, drawn["power"], values)
        bent, spread = (float(one[0, 0]) for one in cv2.meanStdDev(values))
        factor = sign * deviation / max(spread, 1e-7)
        patch *= np.float32(factor)
        patch += np.float32(mean - bent * factor)
        return patch
