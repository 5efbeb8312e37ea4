"""Test-time mirroring: a tile seen in all the mirrors that training used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, combinations

import numpy as np

from medseg.augmentation.sides import side_axis, swapped
from medseg.inference.tiles import Compute
from medseg.plan import Plan


def mirror_axes(plan: Plan) -> tuple[int, ...]:
    """Return the axes of a plan that training mirrored; not one that is a single slice."""
    return tuple(axis for axis in plan.mirror_axes if plan.patch[axis] > 1)


def mirrored(engine: Compute, plan: Plan) -> Compute:
    """Return an engine whose logits are means over all mirrorings of a tile.

    A tile is flipped, its logits are flipped back, and where left and right were flipped the
    channels of paired labels change places, so that the left kidney of the mirrored tile counts
    for the right one of the tile.

    Parameters
    ----------
    engine : callable
        From tiles ``(B, *spatial, C)`` to logits ``(B, *spatial, channels)``.
    plan : Plan
    """
    axes, side = mirror_axes(plan), side_axis(plan.orientation)
    order = channel_order(_meanings(plan), plan.swap)
    first = 0 if plan.patch[0] == 1 else 1  # a slice has no axis for the first one

    def compute(batch: np.ndarray) -> np.ndarray:
        total = np.array(engine(batch), dtype=np.float32)
        for some in _subsets(axes):
            places = tuple(axis + first for axis in some)
            logits = np.flip(engine(np.ascontiguousarray(np.flip(batch, places))), places)
            total += logits[..., order] if side in some and plan.swap else logits
        total /= 2 ** len(axes)
        return total

    return compute


def _meanings(plan: Plan) -> list[frozenset[int]]:
    """Return the label values that each channel of a plan's network stands for."""
    if plan.outputs == "regions":
        return [frozenset(label.region) for label in plan.labels.regions]
    return [frozenset({value}) for value in plan.labels.values]


def channel_order(channels: Sequence[frozenset[int]], swap: Iterable[tuple[int, int]]) -> list[int]:
    """Return for each channel the one that stands for it in a mirrored image.

    Parameters
    ----------
    channels : sequence of frozenset of int
        The label values that each channel stands for.
    swap : iterable of (int, int)
        Values that change places.

    Examples
    --------
    >>> channel_order([frozenset({0}), frozenset({2}), frozenset({5})], [(2, 5)])
    [0, 2, 1]
    """
    other = swapped(swap)
    return [channels.index(frozenset(other.get(value, value) for value in values))
            for values in channels]  # fmt: skip


def _subsets(axes: tuple[int, ...]) -> Iterable[tuple[int, ...]]:
    """Return every choice of axes but the empty one."""
    return chain.from_iterable(combinations(axes, n) for n in range(1, len(axes) + 1))
