"""Overlap of two masks."""

from __future__ import annotations

import math

import numpy as np


def dice(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the voxels shared by two masks over their mean count (Dice, 1945).

    Two empty masks give nan, not 1: a case without the structure says nothing about how
    well it is outlined, and a 1 would lift the mean of every rare label. Take means with
    ``np.nanmean`` and report how many cases went in.

    Parameters
    ----------
    truth, predicted : (I, J, K) bool array
        One label on one grid. Other types are refused: a whole label map would be
        scored as a single foreground.

    Raises
    ------
    TypeError, ValueError
        The masks are not bool, or not of one shape.

    Examples
    --------
    >>> round(dice(np.array([True, True, False]), np.array([True, False, False])), 3)
    0.667
    """
    if not truth.dtype == predicted.dtype == bool:
        raise TypeError(f"masks must be bool, not {truth.dtype} and {predicted.dtype}")
    if truth.shape != predicted.shape:
        raise ValueError(f"masks lie on different grids: {truth.shape}, {predicted.shape}")
    both = np.count_nonzero(truth) + np.count_nonzero(predicted)
    return float(2 * np.count_nonzero(truth & predicted) / both) if both else math.nan
