"""Intensities as a network expects them."""

from __future__ import annotations

import numpy as np

from medseg.plan import Clip, ZScore

SMALLEST_DEVIATION = 1e-8  # below this a channel is constant: it becomes zeros, not noise


def normalised(array: np.ndarray, how: Clip | ZScore) -> np.ndarray:
    """Return one channel ``(I, J, K)`` normalised, float32, as a new array.

    A constant channel gives zeros under a z-score.
    """
    if isinstance(how, Clip):
        clipped = np.clip(array, how.low, how.high, dtype=np.float32)
        clipped -= np.float32(how.mean)
        clipped /= np.float32(how.deviation)
        return clipped
    # float64 sums: a float32 mean of 70 million voxels is off in the third digit; a second
    # centring takes away what rounding a large mean to float32 left
    centred = array.astype(np.float32) - np.float32(array.mean(dtype=np.float64))
    centred -= np.float32(centred.mean(dtype=np.float64))
    deviation = np.sqrt(np.mean(np.square(centred), dtype=np.float64))
    centred /= np.float32(max(deviation, SMALLEST_DEVIATION))
    return centred
