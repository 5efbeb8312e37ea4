"""From the logits of one network or several to a mask and probabilities on the scan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from medseg.geometry import Geometry, cropped
from medseg.plan import Plan
from medseg.preparing import restore, restore_probabilities, restore_regions

SLAB = 1 << 23  # probabilities held at once, of each grid: 32 MB


@dataclass(frozen=True, eq=False, slots=True)
class Predicted:
    """Mean logits of networks that see a scan on one grid.

    Attributes
    ----------
    logits : (channels, I, J, K) float32 array
    geometry : Geometry
        Where they lie.
    networks : int
        How many they are the mean of.
    """

    logits: np.ndarray
    geometry: Geometry
    networks: int = 1


def joined(predicted: Sequence[Predicted]) -> tuple[Predicted, ...]:
    """Return predictions with those on the same grid averaged; arrays given may be changed."""
    kept: list[Predicted] = []
    for one in predicted:
        alike = [n for n, other in enumerate(kept) if other.geometry.same_as(one.geometry)]
        if alike:
            kept[alike[0]] = _averaged(kept[alike[0]], one)
        else:
            kept.append(one)
    return tuple(kept)


def _averaged(one: Predicted, other: Predicted) -> Predicted:
    networks = one.networks + other.networks
    logits = one.logits
    logits *= one.networks / networks
    for into, more in zip(logits, other.logits, strict=True):  # a channel at a time
        into += more * np.float32(other.networks / networks)
    return Predicted(logits, one.geometry, networks)


def mask_of(predicted: Sequence[Predicted], target: Geometry, plan: Plan) -> np.ndarray:
    """Return the label values ``(I, J, K)`` on a scan's grid.

    Logits of one grid are interpolated and compared, see :func:`medseg.preparing.restore`.
    Of several grids the probabilities are averaged on the scan, every network counting the
    same, a slab at a time: memory beside the logits and the mask is a few slabs.
    """
    values = _values(plan)
    if len(predicted) == 1:
        logits, source = predicted[0].logits, predicted[0].geometry
        if plan.outputs == "regions":
            return restore_regions(logits, source, target, values.tolist(), values.dtype)
        return values[restore(logits, source, target, np.min_scalar_type(len(values)))]
    mask = np.zeros(target.shape, values.dtype)
    for slab, mean in _slabs(predicted, target, plan):  # (i, J, K, channels)
        if plan.outputs == "regions":
            for number, value in enumerate(values):
                mask[slab][mean[..., number] > 0.5] = value
        else:
            mask[slab] = values[mean.argmax(axis=-1)]
    return mask


def probabilities_of(predicted: Sequence[Predicted], target: Geometry, plan: Plan) -> np.ndarray:
    """Return the probability of each channel ``(I, J, K, channels)`` on a scan's grid."""
    if len(predicted) == 1:
        one = predicted[0]
        return restore_probabilities(one.logits, one.geometry, target, plan.outputs)
    shares = np.empty((*target.shape, plan.output_channels), np.float32)
    for slab, mean in _slabs(predicted, target, plan):
        shares[slab] = mean
    return shares


def _values(plan: Plan) -> np.ndarray:
    """Return the label value of each channel of the output."""
    values = plan.labels.values if plan.outputs == "classes" else plan.labels.painted()
    return np.asarray(values, np.min_scalar_type(max(values)))


def _slabs(
    predicted: Sequence[Predicted], target: Geometry, plan: Plan
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the mean probabilities of some slices of a scan after the other, and which."""
    first, *rest = target.shape
    thick = max(1, SLAB // (math.prod(rest) * plan.output_channels))
    networks = sum(one.networks for one in predicted)
    for start in range(0, first, thick):
        slices = min(thick, first - start)
        slab = cropped(target, (start, 0, 0), (slices, rest[0], rest[1]))
        mean = np.zeros((*slab.shape, plan.output_channels), np.float32)
        for one in predicted:
            shares = restore_probabilities(one.logits, one.geometry, slab, plan.outputs)
            shares *= one.networks / networks
            mean += shares
        yield slice(start, start + slices), mean
