"""A schematic abdomen in CT with one liver tumour, on any grid, with its truth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from medseg.geometry import Geometry, cropped
from medseg.labels import Code, Label, LabelSet
from medseg.phantoms.anatomy import AIR_HU, Anatomy, Part, anatomy
from medseg.phantoms.grain import noise, texture
from medseg.phantoms.solids import cut
from medseg.volume import LabelMap, Source, Volume

TUMOUR = LabelSet(
    (
        Label(
            1,
            "Tumour",
            category=Code("49755003", "SCT", "Morphologically Abnormal Structure"),
            type=Code("108369006", "SCT", "Neoplasm"),
            colour=(221, 60, 60),
        ),
    )
)

LIVER = LabelSet(
    (
        Label(
            1,
            "Liver",
            category=Code("91723000", "SCT", "Anatomical Structure"),
            type=Code("10200004", "SCT", "Liver"),
            colour=(166, 84, 60),
        ),
    )
)

LOWEST_HU, HIGHEST_HU = -1024, 3071  # what 12 bits hold, as scanners store it
SLAB_VOXELS = 400_000  # drawn at once: some 20 MB of intermediate arrays, near the cache


def body(seed: int, geometry: Geometry) -> tuple[Volume, LabelMap]:
    """Return a portal venous CT of a schematic patient, and its one tumour.

    Everything is placed in RAS+ mm about the origin, which lies between the kidneys and the
    dome of the liver; the grid decides what is seen. One seed is one patient on all grids.
    Edges are as soft as the voxel is wide. Cysts, gallbladder, bowel and vessels look like
    the tumour or enclose its values: no threshold finds it.

    Parameters
    ----------
    seed : int
        Not negative.
    geometry : Geometry
        Any grid, oblique and sheared ones too. A second per million voxels or less.

    Returns
    -------
    volume : Volume
        CT in whole HU as float32 ``(I, J, K)``.
    truth : LabelMap
        1 where the centre of the voxel is in the tumour; empty where the grid misses it.
        ``anatomy(seed).tumour.volume_ml()`` is the volume without a grid.
    """
    patient = anatomy(seed)
    slabs = [_drawn(patient, part, seed) for part in _slabs(geometry)]
    hu = np.concatenate([values for values, _ in slabs], axis=2)
    hu += noise(geometry.shape, seed, patient.noise_hu)
    hu = np.clip(np.rint(hu), LOWEST_HU, HIGHEST_HU).astype(np.float32)
    truth = np.concatenate([inside for _, inside in slabs], axis=2)
    return (
        Volume(hu, geometry, "CT", Source(f"phantom-{seed}")),
        LabelMap(truth, geometry, TUMOUR),
    )


def liver(seed: int, geometry: Geometry) -> LabelMap:
    """Return the liver of the patient of :func:`body`, with what lies in it, on any grid."""
    inside = np.zeros(geometry.shape, np.uint8)
    for lobe in anatomy(seed).lobes:
        if found := cut(geometry, lobe.solid):
            here, grid = found
            inside[here] |= _coverage(lobe, grid) > 0.5
    return LabelMap(inside, geometry, LIVER)


def _slabs(geometry: Geometry) -> Iterator[Geometry]:
    """Yield the grid in pieces along k."""
    i, j, slices = geometry.shape
    step = max(1, SLAB_VOXELS // (i * j))
    for k in range(0, slices, step):
        yield cropped(geometry, (0, 0, k), (i, j, min(step, slices - k)))


def _drawn(patient: Anatomy, geometry: Geometry, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return HU without noise and the tumour as 0 and 1, on one piece of the grid."""
    hu = np.full(geometry.shape, AIR_HU, np.float32)
    uneven = texture(geometry, seed)
    for part in patient.parts:
        if found := cut(geometry, part.solid):
            here, grid = found
            cover = _coverage(part, grid)
            tissue = np.float32(part.hu) + np.float32(part.grain) * uneven[here]
            hu[here] += cover * (tissue - hu[here])
    truth = np.zeros(geometry.shape, np.uint8)
    if found := cut(geometry, patient.tumour):
        here, grid = found
        truth[here] = patient.tumour.coverage(grid) > 0.5
    return hu, truth


def _coverage(part: Part, grid: Geometry) -> np.ndarray:
    """Return how much of each voxel a part fills."""
    cover = part.solid.coverage(grid)
    if part.within is not None:
        cover *= part.within.coverage(grid)
    if part.outside is not None:
        cover *= 1 - part.outside.coverage(grid)
    return cover
