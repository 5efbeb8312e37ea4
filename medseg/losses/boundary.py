"""How far from the true boundary what is predicted lies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import ops

from medseg.losses.comparison import Tensor, compared, mean_of_known


@keras.saving.register_keras_serializable("medseg")
class Boundary(keras.losses.Loss):
    """Mean of probability times signed distance to the true boundary (Kervadec et al. 2019, eq. 5).

    Distances count as positive outside and negative inside, so the loss may fall below 0. They
    are exact up to ``radius`` and stay there beyond; of a patch without a boundary of a class
    they are 0 for it. Ignored voxels are neither inside nor outside. It needs an overlap beside
    it, or it learns that nothing is anywhere: see :class:`medseg.losses.weighted.WeightedSum`.

    Distances are computed with the loss and not stored with the case, since augmentation bends
    the truth: two passes of ``2 * radius / spacing`` minima an axis.

    Parameters
    ----------
    radius : float
        In the unit of ``spacing``.
    spacing : sequence of float, optional
        Voxel size along each axis in mm; with none, distances are in voxels.
    """

    def __init__(
        self, *, radius: float = 10.0, spacing: Sequence[float] | None = None, **kwargs
    ) -> None:
        if radius <= 0 or (spacing is not None and min(spacing) <= 0):
            raise ValueError(f"radius and spacing must be above 0; received {radius}, {spacing}")
        super().__init__(**kwargs)
        self.radius, self.spacing = radius, None if spacing is None else list(spacing)

    def call(self, y_true, y_pred):
        comparison = compared(y_true, y_pred)
        truth, probability = comparison.foreground()
        spacing = self.spacing or [1.0] * (len(truth.shape) - 2)
        distance = signed_distance(truth, comparison.known, spacing, self.radius)
        return mean_of_known(distance * probability, comparison.known)

    def get_config(self) -> dict:
        return {**super().get_config(), "radius": self.radius, "spacing": self.spacing}


def signed_distance(
    truth: Tensor, known: Tensor, spacing: Sequence[float], radius: float
) -> Tensor:
    """Return for each voxel its distance to the other side of the boundary, below 0 inside.

    Parameters
    ----------
    truth : (B, ..., C) tensor of 0 and 1
    known : (B, ..., 1) or (B, ..., C) tensor of 0 and 1
    spacing : sequence of float
        Voxel size along each axis.
    radius : float
        Longest distance, in the unit of ``spacing``.

    Returns
    -------
    (B, ..., C) tensor
        0 on the voxels that line the inside of the boundary, as Kervadec et al. have it.
    """
    if len(spacing) != len(truth.shape) - 2:
        raise ValueError(f"spacing needs {len(truth.shape) - 2} numbers; received {len(spacing)}")
    outside = (1 - truth) * known
    spatial = tuple(range(1, len(truth.shape) - 1))
    away = _distance(truth, spacing, radius)
    deep = ops.maximum(_distance(outside, spacing, radius) - min(spacing), 0.0)
    bounded = ops.max(truth, spatial, keepdims=True) * ops.max(outside, spatial, keepdims=True)
    return (away - deep * truth) * bounded


def _distance(mask: Tensor, spacing: Sequence[float], radius: float) -> Tensor:
    """Return the distance to the nearest voxel of a mask, at most ``radius``.

    Squared distances of one axis after another, each the least of its neighbours' plus the
    square of the way there (Felzenszwalb and Huttenlocher 2012): exact.
    """
    far = radius * radius
    squared = ops.where(mask > 0, 0.0, far)
    for axis, size in enumerate(spacing, start=1):
        steps, count = math.ceil(radius / size), ops.shape(squared)[axis]
        margin = [(steps, steps) if n == axis else (0, 0) for n in range(len(squared.shape))]
        wide = ops.pad(squared, margin, constant_values=far)
        for step in range(-steps, steps + 1):
            window = slice(steps + step, steps + step + count)
            moved = wide[(slice(None),) * axis + (window,)]
            squared = ops.minimum(squared, moved + (step * size) ** 2)
    return ops.sqrt(squared)
