"""Where a patch is taken from: turned, scaled, mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from medseg.augmentation.elastic import Bend, Elastic
from medseg.augmentation.frame import Frame
from medseg.augmentation.ranges import Chance, Positive, Span

Angle = Annotated[float, Field(ge=0, le=180)]


@dataclass(frozen=True, eq=False, slots=True)
class Placement:
    """Where the voxels of a patch come from: source = centre + ``matrix`` @ (offset + bend).

    The offset of a patch voxel counts from the patch's middle. Flips come last. An identity
    ``matrix`` without a bend needs no interpolation.
    """

    matrix: np.ndarray  # (3, 3), source voxels a patch voxel
    flips: tuple[bool, bool, bool]
    bend: Bend | None = None

    @property
    def plain(self) -> bool:
        """Whether the patch is a box of the case, but for flips."""
        return self.bend is None and np.array_equal(self.matrix, np.eye(3))


@dataclass(frozen=True, slots=True)
class Spatial:
    """Random rotation and scaling, drawn independently, and mirroring.

    Rotation is in millimetres, so that anisotropic voxels do not shear the anatomy; nnU-Net
    turns voxel indices. A flat patch is turned and scaled in its plane only.

    Parameters
    ----------
    rotate_probability, scale_probability : float
        Of a sample.
    degrees : float, optional
        Largest angle about each axis, or in the plane of a flat patch; nnU-Net's for such a
        patch when left out, see :attr:`medseg.augmentation.frame.Frame.degrees`.
    scales : (float, float)
        Range of the step between sampled voxels, all axes alike; above 1 structures get
        smaller.
    """

    rotate_probability: Chance = 0.2
    scale_probability: Chance = 0.2
    degrees: Angle | None = None
    scales: Span[Positive] = (0.7, 1.4)

    def draw(
        self, rng: np.random.Generator, frame: Frame, elastic: Elastic | None = None
    ) -> Placement:
        """Draw where a patch is taken from."""
        matrix = np.eye(3)
        if rng.random() < self.rotate_probability:
            largest = frame.degrees if self.degrees is None else self.degrees
            turned = np.array([1, 0, 0] if frame.flat else [1, 1, 1])
            turn = _rotation(np.radians(rng.uniform(-largest, largest, 3) * turned))
            spacing = np.asarray(frame.spacing)
            matrix = turn * spacing / spacing[:, None]  # mm rotation between voxel axes
        if rng.random() < self.scale_probability:
            step = rng.uniform(*self.scales)
            matrix = matrix @ np.diag([1 if frame.flat else step, step, step])
        mirrored = rng.random(3) < 0.5
        i, j, k = (bool(mirrored[axis]) and axis in frame.mirror_axes for axis in range(3))
        bend = None
        if elastic is not None and rng.random() < elastic.probability:
            bend = elastic.draw(rng, frame)
        return Placement(matrix, (i, j, k), bend)


def _rotation(angles: np.ndarray) -> np.ndarray:
    """Return the rotation about axes i, j, k in turn, as a (3, 3) matrix."""
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (n for n in range(3) if n != axis)
        one = np.eye(3)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        turn = one @ turn
    return turn
