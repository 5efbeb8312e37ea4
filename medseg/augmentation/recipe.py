"""A row of augmentations, and the patch that comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from medseg.augmentation.elastic import Elastic
from medseg.augmentation.frame import Frame
from medseg.augmentation.intensity import Intensity
from medseg.augmentation.sampling import cut
from medseg.augmentation.spatial import Spatial


class InPlane(Protocol):
    """Changes image and classes together, slice by slice along the first axis."""

    def draw(self, rng: np.random.Generator) -> int:
        """Draw the seed of one application."""
        ...

    def apply(
        self, image: np.ndarray, classes: np.ndarray, drawn: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return new ``(C, I, J, K)`` float32 and ``(I, J, K)`` of the type of ``classes``."""
        ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """Where a patch is taken from, and what is done to its values, in order.

    Attributes
    ----------
    frame : Frame
    spatial : Spatial
    intensities : tuple of Intensity
    elastic : Elastic or None
    in_plane : InPlane or None
        Comes after the sampling and before the intensities.
    """

    frame: Frame
    spatial: Spatial
    intensities: tuple[Intensity, ...] = ()
    elastic: Elastic | None = None
    in_plane: InPlane | None = None

    def patch(
        self, image: np.ndarray, classes: np.ndarray, centre: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return an augmented patch of a stored case.

        Parameters
        ----------
        image : (I, J, K, C) float16 or float32 array
        classes : (I, J, K) unsigned integer array
        centre : (3,) array
            Voxel of the case that comes to the middle of the patch.
        rng : Generator
            Draws everything; the same state gives the same patch.

        Returns
        -------
        (i, j, k, C) float32 array, (i, j, k) integer array
        """
        placement = self.spatial.draw(rng, self.frame, self.elastic)
        channels, numbers = cut(image, classes, centre, placement, self.frame.patch)
        if self.frame.side_axis is not None and placement.flips[self.frame.side_axis]:
            numbers = _swapped(numbers, self.frame.swap)
        if self.in_plane is not None:
            channels, numbers = self.in_plane.apply(channels, numbers, self.in_plane.draw(rng))
        for step in self.intensities:
            if rng.random() < step.probability:
                for number, drawn in enumerate(step.draw(rng, len(channels))):
                    if drawn is not None:
                        channels[number] = step.apply(channels[number], drawn, flat=self.frame.flat)
        return np.moveaxis(channels, 0, -1), numbers


def _swapped(classes: np.ndarray, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Return class numbers with those of each pair in each other's place."""
    if not pairs:
        return classes
    table = np.arange(np.iinfo(classes.dtype).max + 1, dtype=classes.dtype)
    for one, other in pairs:
        table[[one, other]] = other, one
    return table[classes]
