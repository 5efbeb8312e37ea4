"""What can be measured of a mask without a reference: size, diameters, intensities, lesions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medseg.errors import InputRefused
from medseg.evaluation.placing import on_grid
from medseg.findings import Finding
from medseg.geometry import Geometry
from medseg.labels import Label, LabelSet
from medseg.metrics import diameters, extents_mm, lesions_of, touches_border
from medseg.metrics.box import Box, box_of
from medseg.reading import read, read_labels
from medseg.reading.forms import form_of
from medseg.volume import LabelMap, Volume

LISTED = 100  # lesions of a label, the largest; a mask of noise has thousands
COARSER = 1.2  # an axis with spacing so much larger than the others' is that across the slices


@dataclass(frozen=True, slots=True)
class Intensity:
    """Values of the scan inside a mask, in the scanner's units (HU for CT)."""

    mean: float
    deviation: float
    least: float
    median: float
    most: float


@dataclass(frozen=True, slots=True)
class Lesion:
    """One connected part of a label (26 neighbours).

    Attributes
    ----------
    volume_ml : float
    long_mm, short_mm : float
        RECIST: longest diameter in a slice, and the longest one at a right angle to it there.
    slice : int
        Number of that slice, counted from 1 in file order.
    box : tuple of (int, int)
        First and last voxel along i, j, k, counted from 0.
    centre_mm : (float, float, float)
        Centre of mass in RAS+ mm.
    intensity : Intensity or None
    """

    volume_ml: float
    long_mm: float
    short_mm: float
    slice: int
    box: tuple[tuple[int, int], ...]
    centre_mm: tuple[float, float, float]
    intensity: Intensity | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One label or region of a mask.

    Attributes
    ----------
    label, name : int, str
    voxels : int
        0 where the mask has none of it; nothing else is told then.
    volume_ml : float
    extents_mm : tuple of float
        Length along i, j, k, outer edge to outer edge.
    touches_border : bool
        It reaches an edge of the image and may go on beyond.
    lesions : tuple of Lesion
        The largest :data:`LISTED`, largest first; ``count`` is how many there are.
    intensity : Intensity or None
    """

    label: int
    name: str
    voxels: int
    volume_ml: float = 0.0
    extents_mm: tuple[float, ...] = ()
    touches_border: bool = False
    lesions: tuple[Lesion, ...] = ()
    count: int = 0
    intensity: Intensity | None = None

    @property
    def longest(self) -> Lesion | None:
        """The lesion with the longest diameter: what RECIST would report."""
        return max(self.lesions, key=lambda one: one.long_mm, default=None)


@dataclass(frozen=True, eq=False, slots=True)
class Measurements:
    """All labels of a mask, the axis across its slices, and what was odd."""

    labels: tuple[Measured, ...]
    axis: int
    geometry: Geometry
    findings: tuple[Finding, ...]


def measure(
    mask: str | Path, image: str | Path | None = None, labels: LabelSet | None = None
) -> Measurements:
    """Measure every label of a mask in a file.

    Parameters
    ----------
    mask : str or Path
        NIfTI, DICOM SEG or RTSTRUCT; the last needs the image.
    image : str or Path, optional
        The scan: intensities are told, and DICOM masks are put on its grid.
    labels : LabelSet, optional
        What the values mean, regions too. Labels that do not occur are told as empty.

    Raises
    ------
    InputRefused
        ``grids-differ``: the mask does not lie on the scan; ``mask-empty``: it has no voxel
        and no label to name; and what reading refuses.
    """
    scan = read(image) if image is not None else None
    path = Path(mask)
    found = read_labels(path, labels, None if form_of(path) else scan)
    if scan is not None:
        found, _ = on_grid(found, scan.geometry, words=("mask", "grid of the scan"))
    if not len(found.labels):
        raise InputRefused("mask-empty", "The mask is empty: there is no label in it",
                           do="If that is not what the scan shows, segment it again"
                           )  # fmt: skip
    return measured(found, scan)


def measured(labels: LabelMap, scan: Volume | None = None) -> Measurements:
    """Measure every label and region of a label map.

    Parameters
    ----------
    labels : LabelMap
    scan : Volume, optional
        On the same grid.
    """
    geometry = labels.geometry
    axis = 2 if scan is not None and scan.source.form == "dicom" else across_slices(geometry)
    values = None if scan is None else scan.array if scan.array.ndim == 3 else scan.array[..., 0]
    every = tuple(_label(label, labels, values, axis) for label in labels.labels)
    findings = [
        Finding("warning", "label-empty", f"{one.name} is empty: the mask has no voxel of it")
        for one in every
        if not one.voxels
    ]
    findings += [Finding("warning", "touches-border", f"{one.name} reaches the edge of the image "
                                                      "and may go on beyond")
                 for one in every if one.touches_border]  # fmt: skip
    if geometry.sheared:
        words = "The grid is sheared (tilted gantry): lengths take its axes for square"
        findings.append(Finding("warning", "sheared", words))
    return Measurements(every, axis, geometry, tuple(findings))


def across_slices(geometry: Geometry) -> int:
    """Return the axis across the slices: the coarsest, or of about equal ones that to the head."""
    spacing = np.array(geometry.spacing)
    coarsest = int(spacing.argmax())
    if spacing[coarsest] >= COARSER * np.delete(spacing, coarsest).max():
        return coarsest
    return next(n for n, letter in enumerate(geometry.orientation) if letter in "SI")


def _label(label: Label, labels: LabelMap, values: np.ndarray | None, axis: int) -> Measured:
    group = label.region or (label.value,)
    mask = np.isin(labels.array, group) if len(group) > 1 else labels.array == group[0]
    box = box_of(mask)
    if box is None:
        return Measured(label.value, label.name, 0)
    geometry = labels.geometry
    inside = mask[box]
    voxels = int(np.count_nonzero(inside))
    parts = lesions_of(inside)
    order = np.argsort(-parts.voxels, kind="stable")[:LISTED]
    scan = None if values is None else values[box]
    return Measured(
        label.value, label.name, voxels, voxels * geometry.voxel_mm3 / 1000,
        extents_mm(inside, geometry.spacing), touches_border(mask),
        tuple(_lesion(parts.array[parts.boxes[n]] == n + 1, parts.boxes[n], box, geometry,
                      scan, axis) for n in order.tolist()),
        len(parts), _intensity(scan, inside),
    )  # fmt: skip


def _lesion(
    part: np.ndarray,
    within: Box,
    box: Box,
    geometry: Geometry,
    scan: np.ndarray | None,
    axis: int,
) -> Lesion:
    """Measure one part, given in its own box, which lies within that of the label."""
    start = np.array([one.start + outer.start for one, outer in zip(within, box, strict=True)])
    last = start + part.shape - 1
    found = diameters(part, geometry.spacing, axis=axis)
    assert found is not None  # a part has a voxel
    centre = geometry.positions(start + np.argwhere(part).mean(axis=0))
    return Lesion(
        int(np.count_nonzero(part)) * geometry.voxel_mm3 / 1000,
        found.long_mm, found.short_mm, int(start[axis]) + found.slice + 1,
        tuple(zip(start.tolist(), last.tolist(), strict=True)),
        tuple(centre.tolist()), _intensity(None if scan is None else scan[within], part),
    )  # fmt: skip


def _intensity(values: np.ndarray | None, mask: np.ndarray) -> Intensity | None:
    if values is None:
        return None
    inside = values[mask].astype(float)
    told: Any = (inside.mean(), inside.std(), inside.min(), np.median(inside), inside.max())
    return Intensity(*map(float, told))
