"""Post-processing of a mask: what a package's steps take away or fill in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medseg.findings import Finding
from medseg.geometry import Spacing
from medseg.labels import LabelSet
from medseg.metrics.box import Box, box_of
from medseg.metrics.lesion import Lesions, lesions_of
from medseg.models.postprocessing import FillHoles, LargestComponent, MinimumVolume, Step
from medseg.volume import LabelMap


def postprocessed(labels: LabelMap, steps: Sequence[Step]) -> tuple[LabelMap, tuple[Finding, ...]]:
    """Return a mask after some steps, each on what the one before left, and what they changed.

    Voxels that are taken from a label become background. Those of a region fall to the smallest
    region around it, where that holds one value more: a speck of enhancing tumour becomes
    what else there is in the tumour core. Holes get the value of the nearest voxel of what
    encloses them; other labels inside them stay.

    Parameters
    ----------
    labels : LabelMap
        On its final grid; it is not changed.
    steps : sequence of Step
        In this order. A label that is absent is left alone.

    Returns
    -------
    LabelMap
    tuple of Finding
        ``postprocessed`` for each step that changed something, with the volume in ml.
    """
    array, findings = labels.array.copy() if steps else labels.array, []
    for step in steps:
        changed = _applied(step, array, labels)
        if changed:
            ml = changed * labels.geometry.voxel_mm3 / 1000
            words = f"Post-processing changed {ml:.3g} ml: {step.words(labels.labels)}"
            findings.append(Finding("info", "postprocessed", words))
    return labels.moved(array, labels.geometry), tuple(findings)


def _applied(step: Step, array: np.ndarray, labels: LabelMap) -> int:
    """Take one step in place, within the box of the structure; return how many voxels it changed.

    Boxes make it quick: of a lesion in a whole body only the lesion is looked at.
    """
    mask = _structure(array, step.label, labels.labels)
    box = box_of(mask)
    if box is None:
        return 0
    within, mask = array[box], mask[box]
    if isinstance(step, FillHoles):
        return _filled(within, mask, labels.geometry.spacing, array.shape)
    lesions = lesions_of(mask)
    taken = np.isin(np.arange(len(lesions) + 1), _unwanted(step, lesions, labels))[lesions.array]
    within[taken] = _beneath(step.label, labels.labels)
    return int(np.count_nonzero(taken))


def _structure(array: np.ndarray, label: int | None, labels: LabelSet) -> np.ndarray:
    if label is None:
        return array > 0
    values = labels[label].region or (label,)
    return array == values[0] if len(values) == 1 else np.isin(array, values)


def _unwanted(
    step: LargestComponent | MinimumVolume, lesions: Lesions, labels: LabelMap
) -> np.ndarray:
    """Return the numbers of the components, from 1, that a step takes away."""
    if isinstance(step, LargestComponent):
        return np.delete(np.arange(1, len(lesions) + 1), lesions.voxels.argmax())
    return 1 + np.flatnonzero(lesions.voxels * labels.geometry.voxel_mm3 < step.ml * 1000)


def _beneath(label: int | None, labels: LabelSet) -> int:
    """Return the value that voxels get which are no longer of a label."""
    own = set(labels[label].region) if label is not None else set[int]()
    if not own:
        return 0
    around = [set(one.region) - own for one in labels if set(one.region) > own]
    rest = min(around, key=len, default=set())
    return rest.pop() if len(rest) == 1 else 0


def _filled(within: np.ndarray, mask: np.ndarray, spacing: Spacing, shape: tuple[int, ...]) -> int:
    """Fill the holes of a structure in place; return how many voxels were filled."""
    holes = _enclosed(mask, [axis for axis in range(3) if shape[axis] > 1]) & (within == 0)
    if not holes.any():
        return 0
    from scipy import ndimage

    for box in lesions_of(holes, neighbours=6).boxes:
        wide: Box = tuple(slice(max(0, one.start - 1), one.stop + 1) for one in box)
        nearest = ndimage.distance_transform_edt(
            ~mask[wide], sampling=spacing, return_distances=False, return_indices=True
        )
        values = within[wide][tuple(nearest)]
        np.copyto(within[wide], values, where=holes[wide])
    return int(np.count_nonzero(holes))


def _enclosed(mask: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Return what lies outside a mask and does not reach the edge of its box.

    An axis along which the whole image has one voxel has no edges.
    """
    outside = lesions_of(~mask, neighbours=6)
    free = np.zeros(len(outside) + 1, bool)
    free[0] = True
    for axis in axes:
        free[outside.array.take([0, -1], axis)] = True
    return np.asarray(~free[outside.array])
