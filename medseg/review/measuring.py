"""What is measured on a mask for the reader's page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from medseg.errors import InputRefused
from medseg.metrics import diameters, lesions_of, touches_border
from medseg.reading import read_labels
from medseg.review.doubts import Measures
from medseg.review.results import Case
from medseg.volume import LabelMap

COARSER = 1.01  # spacings within a hundredth are one


def measured(case: Case) -> Measures:
    """Measure the mask of a case; nothing where its record does not name the labels."""
    path, labels = case.file("nifti"), case.labels
    if path is None or labels is None:
        return Measures()
    try:
        mask = read_labels(path, labels)
    except InputRefused:
        return Measures()
    shares = case.file("probabilities")
    spacing = mask.geometry.spacing
    across = _slice_axis(spacing)
    sized: dict[str, tuple[float, float]] = {}
    touching = []
    for label in labels:
        inside = mask.array == label.value
        if found := diameters(_largest(inside), spacing, axis=across):
            sized[label.name] = found.long_mm, found.short_mm
        if touches_border(inside):
            touching.append(label.name)
    return Measures(sized, tuple(touching), _confidence(mask, shares) if shares else {})


def _largest(inside: np.ndarray) -> np.ndarray:
    """Return the largest connected part: across two lesions a diameter means nothing."""
    parts = lesions_of(inside)
    return parts.array == 1 + int(parts.voxels.argmax()) if len(parts.voxels) > 1 else inside


def _slice_axis(spacing: Sequence[float]) -> int:
    """Return the axis across the slices: the coarsest, and the last where none is."""
    return 2 if max(spacing) < COARSER * spacing[2] else int(np.argmax(spacing))


def _confidence(mask: LabelMap, path: Path) -> dict[str, float]:
    """Return the Dice to expect of each label that occurs, if the probabilities are right."""
    shares = nib.Nifti1Image.from_filename(path).dataobj  # (I, J, K, classes), not loaded
    if shares.shape != (*mask.geometry.shape, mask.labels.classes):
        return {}
    sure: dict[str, float] = {}
    for channel, label in enumerate(mask.labels.plain, start=1):
        inside = mask.array == label.value
        if inside.any():
            share = np.asarray(shares[..., channel], np.float32)  # one class at a time
            both = float(share.sum(dtype=float)) + np.count_nonzero(inside)
            sure[label.name] = float(2 * share[inside].sum(dtype=float) / both)
    return sure
