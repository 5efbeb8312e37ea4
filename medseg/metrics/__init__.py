"""Numbers that compare masks: arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from medseg.metrics.calibration import Calibration, calibration, foreground_band
from medseg.metrics.empty import EMPTY_POLICIES, EmptyPolicy
from medseg.metrics.lesion import Detection, Froc, LesionRule, detect, froc, lesions_of
from medseg.metrics.overlap import (
    Counts,
    confusion,
    counted,
    dice,
    iou,
    precision,
    sensitivity,
    specificity,
    volume_error,
)
from medseg.metrics.scores import Score, scores
from medseg.metrics.shape import (
    Diameters,
    centre_distance_mm,
    diameters,
    extents_mm,
    touches_border,
    volume_ml,
)
from medseg.metrics.surface import (
    SurfaceDistances,
    assd,
    hausdorff,
    hd95,
    nsd,
    surface_distances,
)

METRICS = {  # columns of a table of scores; those after the blank line take a spacing too
    "dice": "medseg.metrics.overlap:dice",
    "iou": "medseg.metrics.overlap:iou",
    "sensitivity": "medseg.metrics.overlap:sensitivity",
    "precision": "medseg.metrics.overlap:precision",
    "specificity": "medseg.metrics.overlap:specificity",
    "volume_error": "medseg.metrics.overlap:volume_error",
    "hd_mm": "medseg.metrics.surface:hausdorff",
    "hd95_mm": "medseg.metrics.surface:hd95",
    "assd_mm": "medseg.metrics.surface:assd",
    "nsd": "medseg.metrics.surface:nsd",
    "centre_mm": "medseg.metrics.shape:centre_distance_mm",
}

__all__ = [
    "EMPTY_POLICIES",
    "METRICS",
    "Calibration",
    "Counts",
    "Detection",
    "Diameters",
    "EmptyPolicy",
    "Froc",
    "LesionRule",
    "Score",
    "SurfaceDistances",
    "assd",
    "calibration",
    "centre_distance_mm",
    "confusion",
    "counted",
    "detect",
    "diameters",
    "dice",
    "extents_mm",
    "foreground_band",
    "froc",
    "hausdorff",
    "hd95",
    "iou",
    "lesions_of",
    "metric",
    "nsd",
    "precision",
    "scores",
    "sensitivity",
    "specificity",
    "surface_distances",
    "touches_border",
    "volume_error",
    "volume_ml",
]


def metric(name: str) -> Callable[..., float]:
    """Return a metric of two masks by its name in ``METRICS``.

    Raises
    ------
    KeyError
        There is none of that name.
    """
    module, function = METRICS[name].split(":")
    found: Callable[..., float] = getattr(import_module(module), function)
    return found
