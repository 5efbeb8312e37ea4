"""What an image looks like in a few numbers, to tell a strange one from those of a training."""

from __future__ import annotations

import numpy as np

CELLS = {2: 4, 3: 2}  # of the coarse picture along each axis: 16 or 8 numbers


def appearance(raw: np.ndarray, prepared: np.ndarray) -> np.ndarray:
    """Return numbers that describe an image without saying anything of its class by design.

    Mean and logarithm of the deviation of the raw values; of the standardised image skewness,
    logarithm of the kurtosis, shares of the least and of the greatest value, logarithm of the
    mean step between neighbours (sharpness and noise), and a coarse picture.

    Parameters
    ----------
    raw : array
        As it was read.
    prepared : (I, J, K, C) array
        As the network sees it; one voxel along i makes it 2-D.

    Returns
    -------
    (23,) or (15,) float64 array
        Of a 2-D and of a 3-D image.
    """
    image = prepared.mean(axis=-1, dtype=np.float64)  # (I, J, K)
    deviation = max(float(image.std()), 1e-8)
    image = (image - image.mean()) / deviation
    rank = 2 if image.shape[0] == 1 else 3
    axes = range(3 - rank, 3)
    steps = np.mean([np.abs(np.diff(image, axis=axis)).mean() for axis in axes])
    values = raw.astype(np.float64, copy=False)
    numbers = [
        values.mean(),
        _log(values.std()),
        np.mean(image**3),
        _log(np.mean(image**4)),
        np.mean(image == image.min()),
        np.mean(image == image.max()),
        _log(steps),
    ]
    return np.concatenate([numbers, _coarse(image, rank).ravel()])


def _log(number: float) -> float:
    return float(np.log(max(number, 1e-6)))


def _coarse(image: np.ndarray, rank: int) -> np.ndarray:
    """Return the mean of each cell of a coarse grid."""
    for axis in range(3 - rank, 3):
        cells = np.array_split(np.arange(image.shape[axis]), CELLS[rank])
        means = [image.take(cell, axis).mean(axis=axis) if len(cell) else
                 np.zeros(np.delete(image.shape, axis)) for cell in cells]  # fmt: skip
        image = np.stack(means, axis=axis)
    return image
