"""What is measured on a mask for the reader's page."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from medseg.errors import InputRefused
from medseg.reading import read_labels
from medseg.review.doubts import Measures
from medseg.review.results import Case
from medseg.volume import LabelMap


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
    return Measures(confidence=_confidence(mask, shares) if shares else {})


def _confidence(mask: LabelMap, path: Path) -> dict[str, float]:
    """Return the Dice to expect of each label that occurs, if the probabilities are right."""
    shares = nib.Nifti1Image.from_filename(path).dataobj  # (I, J, K, classes), not loaded
    if shares.shape != (*mask.geometry.shape, mask.labels.classes):
        return {}
    sure = {}
    for channel, label in enumerate(mask.labels.plain, start=1):
        inside = mask.array == label.value
        if inside.any():
            share = np.asarray(shares[..., channel], np.float32)  # one class at a time
            both = float(share.sum(dtype=float)) + np.count_nonzero(inside)
            sure[label.name] = 2 * float(share[inside].sum(dtype=float)) / both
    return sure
