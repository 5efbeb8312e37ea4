"""Intensities on a finer or coarser grid of the same extent."""

from __future__ import annotations

import cv2
import numpy as np

from medseg.geometry import Shape

CV2_CHANNELS = 512  # cv2.resize refuses as many or more


def resampled(array: np.ndarray, shape: Shape) -> np.ndarray:
    """Return ``(I, J, K)`` float32 linearly resampled to ``shape``, edges meeting edges.

    Output voxel n of an axis lies at ``(n + 1/2) * old / new - 1/2`` of the old axis, clamped
    at the ends: the convention of :func:`medseg.geometry.rescaled` and of scikit-image's
    ``resize`` without anti-aliasing, whose numbers this gives to 1e-4 of the range. The last
    two axes go through OpenCV slice by slice, the first through :func:`weights`.
    """
    if array.shape == shape:
        return array.astype(np.float32, copy=True)
    source = np.ascontiguousarray(array, dtype=np.float32)
    first, second = np.arange(shape[0]), shape[1:]
    low, high, share = neighbours(shape[0], source.shape[0])
    out = np.empty(shape, np.float32)
    flat: dict[int, np.ndarray] = {}  # in-plane resampled source slices still needed
    for n in first:
        for needed in (low[n], high[n]):
            if needed not in flat:
                flat[needed] = resized(source[needed], second)
        for passed in [key for key in flat if key < low[n]]:
            del flat[passed]
        cv2.addWeighted(flat[low[n]], 1 - share[n], flat[high[n]], share[n], 0, dst=out[n])
    return out


def neighbours(new: int, old: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each new voxel of an axis its two old neighbours and the upper one's share.

    Examples
    --------
    >>> low, high, share = neighbours(4, 2)
    >>> low.tolist(), high.tolist(), share.tolist()
    ([0, 0, 0, 1], [1, 1, 1, 1], [0.0, 0.25, 0.75, 0.0])
    """
    place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    low = np.floor(place).astype(int)
    return low, np.minimum(low + 1, old - 1), place - low


def resized(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a float32 image ``(J, K)`` linearly resized, edges meeting edges."""
    if image.shape == shape:
        return image
    return cv2.resize(image, shape[::-1], interpolation=cv2.INTER_LINEAR)
