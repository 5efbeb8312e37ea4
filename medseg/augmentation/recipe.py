"""Which augmentations a training uses, in which order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medseg.augmentation.intensity import (
    Brightness,
    Contrast,
    Gamma,
    GaussianBlur,
    GaussianNoise,
    Intensity,
    LowResolution,
)
from medseg.augmentation.spatial import Patch, Spatial, cut
from medseg.errors import PlanRefused

RECIPES = ("default", "light", "none")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A spatial augmentation and a row of intensity ones, applied channel by channel."""

    spatial: Spatial
    intensities: tuple[Intensity, ...] = ()

    def patch(
        self,
        image: np.ndarray,
        classes: np.ndarray,
        centre: np.ndarray,
        patch: Patch,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return an augmented patch of a stored case.

        Parameters
        ----------
        image : (I, J, K, C) float16 or float32 array
        classes : (I, J, K) unsigned integer array
        centre : (3,) array
            Voxel of the case that comes to the middle of the patch.
        patch : (int, int, int)
            Size in voxels.
        rng : Generator
            Draws everything; the same state gives the same patch.

        Returns
        -------
        (i, j, k, C) float32 array, (i, j, k) integer array
        """
        placement = self.spatial.draw(rng)
        channels = [cut(image[..., c], centre, placement, patch) for c in range(image.shape[-1])]
        for intensity in self.intensities:
            for number, channel in enumerate(channels):
                if rng.random() < intensity.probability:
                    channels[number] = intensity.apply(channel, intensity.draw(rng))
        return np.stack(channels, axis=-1), cut(classes, centre, placement, patch)


def recipe(
    name: str, spacing: tuple[float, float, float], patch: Patch, mirror_axes: tuple[int, ...]
) -> Recipe:
    """Return a recipe by name: ``default`` (nnU-Net's), ``light`` or ``none``.

    ``light`` leaves out what a small network has no time to learn to undo: blur, brightness,
    contrast, low resolution and inverted gamma.

    A patch more than three times longer than thick, and any 2-D one, is turned in its plane
    only, by any angle.

    Raises
    ------
    PlanRefused
        ``recipe-unknown``.
    """
    if name not in RECIPES:
        raise PlanRefused(
            "recipe-unknown", f"There is no recipe {name!r}", do=f"Use one of {RECIPES}"
        )
    if name == "none":
        still = Spatial(spacing, rotate_probability=0, scale_probability=0, mirror_axes=())
        return Recipe(still)
    flat = max(patch) > 3 * patch[0]
    degrees = (180.0, 0.0, 0.0) if flat else (30.0, 30.0, 30.0)
    spatial = Spatial(spacing, degrees, mirror_axes=mirror_axes)
    if name == "light":
        return Recipe(spatial, (GaussianNoise(), Gamma(0.3)))
    return Recipe(
        spatial,
        (
            GaussianNoise(),
            GaussianBlur(),
            Brightness(),
            Contrast(),
            LowResolution(),
            Gamma(0.1, inverted=True),
            Gamma(0.3),
        ),
    )
