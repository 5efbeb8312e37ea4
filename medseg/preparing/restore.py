"""From one grid onto another: logits back onto a scan, labels between series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from medseg.geometry import AxisMap, Geometry, index_map
from medseg.preparing.resample import resized
from medseg.volume import LabelMap

SAME_INDEX = 1e-3  # voxels: what rounding of an affine in a file may move, and no more


def restore(
    logits: np.ndarray, source: Geometry, target: Geometry, dtype: DTypeLike = np.uint8
) -> np.ndarray:
    """Return the class of highest logit at each voxel of another grid.

    Logits are interpolated linearly, then compared, so borders fall between voxels where the
    network put them. Where the grids differ by axis order, flips and crop only, classes are
    copied index by index and nothing is interpolated.

    Parameters
    ----------
    logits : (classes, I, J, K) float32 array
        On ``source``, background first.
    source, target : Geometry
        Where the logits lie, and where the classes are wanted.
    dtype : dtype
        Unsigned integers that hold the number of classes.

    Returns
    -------
    (I', J', K') array
        Class numbers on ``target``; 0 outside the box of ``source``.

    Notes
    -----
    Memory beside input and output is a few slices: classes are sampled one by one against a
    running maximum. A class that lies below background in the whole slice cannot win there,
    since interpolation is a convex mix, and is not sampled.
    """
    aligned = alignment(source, target)
    if aligned is not None and aligned.exact:
        return _nearest(logits.argmax(axis=0).astype(dtype), source, target)
    classes = np.zeros(target.shape, dtype)
    for plane, sampler in _planes(classes, source, target, aligned):
        best = sampler.sample(logits[0])  # (J', K')
        winner = np.zeros(best.shape, dtype)
        for number in range(1, len(logits)):
            if sampler.can_exceed(logits[number], logits[0]):
                rival = sampler.sample(logits[number])
                winner[rival > best] = number
                np.maximum(best, rival, out=best)
        sampler.put(plane, winner)
    return classes


def restore_probabilities(logits: np.ndarray, source: Geometry, target: Geometry) -> np.ndarray:
    """Return softmax probabilities ``(I', J', K', classes)`` float32 on another grid.

    Logits are interpolated as in :func:`restore`, so the most probable class is the class
    that it gives. Outside the box of ``source`` background has probability 1.
    """
    out = np.zeros((*target.shape, len(logits)), np.float32)
    out[..., 0] = 1
    for plane, sampler in _planes(out, source, target, alignment(source, target)):
        power = np.stack([sampler.sample(one) for one in logits], axis=-1)  # (J', K', classes)
        power = np.exp(power - power.max(axis=-1, keepdims=True))
        sampler.put(plane, power / power.sum(axis=-1, keepdims=True))
    return out


def moved(labels: LabelMap, target: Geometry) -> LabelMap:
    """Return a label map on another grid; each voxel takes the label nearest to its centre.

    Exact where the grids differ by axis order, flips and crop; background outside the box.
    """
    return labels.moved(_nearest(labels.array, labels.geometry, target), target)


def interpolated(
    array: np.ndarray, source: Geometry, target: Geometry, outside: float = 0.0
) -> np.ndarray:
    """Return intensities ``(I', J', K')`` float32 on another grid, linearly interpolated.

    Voxels beyond the box of ``source`` get the value ``outside``; those between its edge and
    its outermost voxel centres the value of these.
    """
    out = np.full(target.shape, outside, np.float32)
    values = np.ascontiguousarray(array, np.float32)
    for plane, sampler in _planes(out, source, target, alignment(source, target)):
        sampler.put(plane, sampler.sample(values))
    return out


@dataclass(frozen=True, eq=False, slots=True)
class Alignment:
    """How one grid lies on another when their axes are parallel.

    Attributes
    ----------
    axes : AxisMap
        Reorders the target so that its axis n runs along source axis n, the same way.
    scale, offset : (3,) arrays
        Source index = ``scale`` x reordered target index + ``offset``, axis by axis.
    """

    axes: AxisMap
    scale: np.ndarray
    offset: np.ndarray

    @property
    def exact(self) -> bool:
        """Whether target voxels lie on source voxels, so that nothing needs interpolation."""
        whole = np.rint(self.offset)
        return bool(
            np.abs(self.scale - 1).max() < 1e-6 and np.abs(self.offset - whole).max() < SAME_INDEX
        )


def alignment(source: Geometry, target: Geometry) -> Alignment | None:
    """Return how two grids lie on one another, or None when one is turned against the other.

    Axes count as parallel while no voxel leaves its row by more than a thousandth of a voxel.
    """
    matrix = index_map(source, target)
    along = np.abs(matrix[:3, :3]).argmax(axis=1)  # for each source axis, the target axis
    if sorted(along.tolist()) != [0, 1, 2]:
        return None
    scale = matrix[range(3), along]
    drift = matrix[:3, :3].copy()
    drift[range(3), along] = 0
    if (np.abs(drift) * target.shape).max() > SAME_INDEX:
        return None
    flips = scale < 0
    last = np.asarray(target.shape)[along] - 1
    offset = matrix[:3, 3] + np.where(flips, scale * last, 0)
    (i, j, k), (a, b, c) = along.tolist(), flips.tolist()
    return Alignment(AxisMap((i, j, k), (a, b, c)), np.abs(scale), offset)


@dataclass(frozen=True, eq=False, slots=True)
class _Axis:
    """Where the target voxels of one axis that lie inside the source box fall on the source."""

    inside: slice  # of the target
    place: np.ndarray  # source index of each of them, clamped to the voxel centres
    whole: bool  # source and target edges meet: a plain resize

    @classmethod
    def of(cls, scale: float, offset: float, new: int, old: int) -> _Axis:
        place = scale * np.arange(new) + offset
        within = np.flatnonzero((place > -0.5 - SAME_INDEX) & (place < old - 0.5 + SAME_INDEX))
        inside = slice(int(within[0]), int(within[-1]) + 1) if len(within) else slice(0, 0)
        edges = offset - scale / 2 + 0.5, offset + scale * (new - 0.5) - (old - 0.5)
        whole = len(within) == new and max(map(abs, edges)) < SAME_INDEX
        return cls(inside, np.clip(place[inside], 0, old - 1), whole)

    @property
    def nearest(self) -> np.ndarray:
        """Source index nearest to each voxel; the lower one of a tie, whatever rounding did."""
        return np.ceil(self.place - 0.5 - SAME_INDEX).astype(int)

    def neighbours(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the source neighbours below and above each voxel, and the upper one's share."""
        low = np.floor(self.place).astype(int)
        high = np.minimum(low + 1, low.max(initial=0) + 1)
        share = (self.place - low).astype(np.float32)
        return low, np.where(share > 0, high, low), share


def _axes(aligned: Alignment, source: Geometry, target: Geometry) -> tuple[_Axis, ...]:
    shape = [target.shape[axis] for axis in aligned.axes.axes]
    return tuple(map(_Axis.of, aligned.scale, aligned.offset, shape, source.shape))


def _nearest(array: np.ndarray, source: Geometry, target: Geometry) -> np.ndarray:
    """Return integers on another grid, each voxel taking the nearest; 0 outside the box."""
    out = np.zeros(target.shape, array.dtype)
    aligned = alignment(source, target)
    if aligned is None:
        for plane, sampler in _planes(out, source, target, None):
            sampler.put(plane, sampler.sample(array, order=0))
        return out
    i, j, k = _axes(aligned, source, target)
    view = aligned.axes.of_array(out)  # writing into it fills `out`
    view[i.inside, j.inside, k.inside] = array[np.ix_(i.nearest, j.nearest, k.nearest)]
    return out


class _Sampler(Protocol):
    """Gives a source array ``(I, J, K)`` on one slice of the target."""

    def sample(self, array: np.ndarray, order: int = 1) -> np.ndarray: ...

    def can_exceed(self, array: np.ndarray, other: np.ndarray) -> bool: ...

    def put(self, plane: np.ndarray, values: np.ndarray) -> None: ...


def _planes(
    out: np.ndarray, source: Geometry, target: Geometry, aligned: Alignment | None
) -> Iterator[tuple[np.ndarray, _Sampler]]:
    """Yield each slice of ``out`` that meets the source, and how to sample it."""
    if aligned is None:
        matrix = index_map(source, target)
        for n in range(target.shape[0]):
            yield out[n], _TurnedPlane.of(matrix, n, source, target)
        return
    first, second, third = _axes(aligned, source, target)
    view = aligned.axes.of_array(out)[first.inside, second.inside, third.inside]
    for plane, low, high, share in zip(view, *first.neighbours(), strict=True):
        yield plane, _AlignedPlane(int(low), int(high), share, second, third)


@dataclass(frozen=True, eq=False, slots=True)
class _AlignedPlane:
    """A slice parallel to the source's: two source slices mixed, then resized in plane."""

    low: int
    high: int
    share: np.float32
    second: _Axis
    third: _Axis

    def _mixed(self, array: np.ndarray) -> np.ndarray:
        if self.share == 0:
            return array[self.low]
        return (1 - self.share) * array[self.low] + self.share * array[self.high]

    def sample(self, array: np.ndarray, order: int = 1) -> np.ndarray:
        """Return the slice ``(J', K')``; always linear here."""
        mixed = self._mixed(array)
        if self.second.whole and self.third.whole:
            return np.array(resized(mixed, (len(self.second.place), len(self.third.place))))
        for axis, (low, high, share) in enumerate(
            (self.second.neighbours(), self.third.neighbours())
        ):
            share = share.reshape(-1, 1) if axis == 0 else share
            mixed = (1 - share) * mixed.take(low, axis) + share * mixed.take(high, axis)
        return mixed

    def can_exceed(self, array: np.ndarray, other: np.ndarray) -> bool:
        """Whether ``array`` may lie above ``other`` anywhere on this slice."""
        return bool((self._mixed(array) > self._mixed(other)).any())

    def put(self, plane: np.ndarray, values: np.ndarray) -> None:
        """Write the values of the slice."""
        plane[...] = values


@dataclass(frozen=True, eq=False, slots=True)
class _TurnedPlane:
    """A slice that cuts the source at an angle: general interpolation."""

    place: np.ndarray  # (3, J', K') source indices
    inside: np.ndarray  # (J', K') bool: within the source's box

    @classmethod
    def of(cls, matrix: np.ndarray, n: int, source: Geometry, target: Geometry) -> _TurnedPlane:
        j, k = np.meshgrid(*map(np.arange, target.shape[1:]), indexing="ij")
        index = np.stack([np.full_like(j, n), j, k, np.ones_like(j)])  # (4, J', K')
        place = np.tensordot(matrix[:3], index, axes=1)
        limit = np.reshape(source.shape, (3, 1, 1)) - 0.5
        inside = np.logical_and.reduce((place >= -0.5) & (place <= limit))
        return cls(place, inside)

    def sample(self, array: np.ndarray, order: int = 1) -> np.ndarray:
        """Return the slice ``(J', K')``, linear (order 1) or nearest (order 0)."""
        from scipy import ndimage  # only for rotated grids, and slow to import

        return ndimage.map_coordinates(array, self.place, order=order, mode="nearest")

    def can_exceed(self, array: np.ndarray, other: np.ndarray) -> bool:
        """Whether ``array`` may lie above ``other``: not known here, so yes."""
        return True

    def put(self, plane: np.ndarray, values: np.ndarray) -> None:
        """Write the values that lie inside the source's box."""
        plane[self.inside] = values[self.inside]
