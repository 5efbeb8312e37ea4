"""Elastic deformation: a smooth random field that never folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from medseg.augmentation.frame import Frame, Patch
from medseg.augmentation.ranges import Chance, Positive, Span

# of the distance of control points: below, a cubic B-spline field in 3-D is one to one
# (Choi and Lee, Graphical Models 2000: 1 / 2.479)
FOLD_FREE = 0.4


@dataclass(frozen=True, eq=False, slots=True)
class Bend:
    """A field of displacements: cubic B-splines on a lattice over the patch.

    Attributes
    ----------
    control : (3, A, B, C) float32 array
        Displacements of the control points along i, j and k, in voxels.
    step : (float, float, float)
        Voxels between control points along each axis.
    """

    control: np.ndarray
    step: tuple[float, float, float]

    @property
    def reach(self) -> np.ndarray:
        """Largest displacement along each axis in voxels; splines stay within their controls."""
        return np.abs(self.control).max(axis=(1, 2, 3))

    def field(self, patch: Patch) -> np.ndarray:
        """Return the displacement of each voxel of a patch, ``(3, i, j, k)`` float32."""
        one, two, three = (
            _basis(size, step, points)
            for size, step, points in zip(patch, self.step, self.control.shape[1:], strict=True)
        )  # (voxels, points)
        rows = self.control @ three.T  # (3, A, B, k)
        planes = np.matmul(two, rows)  # (3, A, j, k)
        return np.tensordot(planes, one, (1, 1)).transpose(0, 3, 1, 2)  # (3, i, j, k)


@dataclass(frozen=True, slots=True)
class Elastic:
    """Bend the patch; nnU-Net can, and leaves it out of its recipe.

    Free-form deformation by cubic B-splines (Rueckert et al., IEEE TMI 1999), in millimetres
    and alike along all axes; within the plane of a flat patch. The strengths that are allowed
    cannot fold tissue onto itself, which a blurred field of noise can.

    Parameters
    ----------
    probability : float
        Of a sample.
    intervals : (float, float)
        Range of the number of control intervals along the longest edge of the patch in mm:
        more bend it on a smaller scale.
    strength : (float, float)
        Range of the largest displacement, as a share of the distance of control points.
    """

    probability: Chance = 0.2
    intervals: Span[Positive] = (2.0, 5.0)
    strength: Span[Annotated[float, Field(ge=0, le=FOLD_FREE)]] = (0.1, 0.35)

    def draw(self, rng: np.random.Generator, frame: Frame) -> Bend:
        """Draw the displacements of the control points."""
        spacing = np.asarray(frame.spacing)
        distance = float(np.max(spacing * frame.patch)) / rng.uniform(*self.intervals)  # mm
        largest = distance * rng.uniform(*self.strength)
        step = distance / spacing  # voxels
        points = np.ceil((np.asarray(frame.patch) - 1) / step).astype(int) + 4
        control = rng.uniform(-largest, largest, (3, *points)) / spacing[:, None, None, None]
        if frame.flat:
            control[:] = control[:, :1]  # all slices move alike
            control[0] = 0
        i, j, k = step.tolist()
        return Bend(control.astype(np.float32), (i, j, k))


def _basis(size: int, step: float, points: int) -> np.ndarray:
    """Return how much each control point weighs at each voxel, ``(size, points)``."""
    place = np.arange(size) / step
    first = np.minimum(np.floor(place).astype(int), points - 4)
    t = place - first
    weights = (
        np.stack(
            [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=-1
        )
        / 6
    )  # (size, 4)
    basis = np.zeros((size, points), np.float32)
    basis[np.arange(size)[:, None], first[:, None] + np.arange(4)] = weights
    return basis
