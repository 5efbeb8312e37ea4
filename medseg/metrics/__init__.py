"""Numbers that compare masks and classes: arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from medseg.metrics.calibration import (
    Calibration,
    Isotonic,
    calibration,
    fit_isotonic,
    fit_temperature,
    foreground_band,
)
from medseg.metrics.classification import (
    average_precision,
    balanced_accuracy,
    brier,
    delong_interval,
    expected_calibration_error,
    macro_auc,
    roc_auc,
    sensitivity_at_specificity,
)
from medseg.metrics.conformal import conformal_threshold, prediction_sets
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
    "Isotonic",
    "LesionRule",
    "Score",
    "SurfaceDistances",
    "assd",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "calibration",
    "centre_distance_mm",
    "conformal_threshold",
    "confusion",
    "counted",
    "delong_interval",
    "detect",
    "diameters",
    "dice",
    "expected_calibration_error",
    "extents_mm",
    "fit_isotonic",
    "fit_temperature",
    "foreground_band",
    "froc",
    "hausdorff",
    "hd95",
    "iou",
    "lesions_of",
    "macro_auc",
    "metric",
    "nsd",
    "precision",
    "prediction_sets",
    "roc_auc",
    "scores",
    "sensitivity",
    "sensitivity_at_specificity",
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
