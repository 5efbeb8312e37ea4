"""Intensities of the foreground of a data set, for normalising CT."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medseg.datasets.cases import read_case
from medseg.datasets.dataset import Case
from medseg.datasets.images import LabelledImage
from medseg.errors import InputRefused
from medseg.labels import LabelSet
from medseg.plan import Clip

SAMPLES_A_CASE = 100_000


def foreground_window(
    cases: Sequence[Case],
    labels: LabelSet,
    channel: int,
    seed: int,
    skip_refused: bool = False,
    ignore: int | None = None,
) -> Clip:
    """Return the clipping window and statistics of one channel's foreground over cases.

    Percentiles 0.5 and 99.5, mean and deviation over up to 100,000 foreground voxels a case
    (Isensee et al., Nature Methods 2021, supplement).

    Raises
    ------
    InputRefused
        ``foreground-missing``: no case has a labelled voxel.
    """
    rng = np.random.default_rng(seed)
    pools = []
    for case in cases:
        try:
            volume, truth = read_case(case, labels, ignore)
        except InputRefused:
            if skip_refused:
                continue
            raise
        array = volume.array if volume.array.ndim == 3 else volume.array[..., channel]
        values = array[(truth.array > 0) & (truth.array != (ignore or 0))]
        if len(values):
            pools.append(rng.choice(values, min(len(values), SAMPLES_A_CASE), replace=False))
    if not pools:
        raise InputRefused("foreground-missing", "No case has a labelled voxel to measure")
    return _window(np.concatenate(pools))


def image_window(cases: Sequence[LabelledImage], channel: int, seed: int) -> Clip:
    """Return the clipping window and statistics of one channel of whole images.

    As :func:`foreground_window`, over up to 100,000 voxels of each image.

    Raises
    ------
    InputRefused
        ``constant-images``: all images have one and the same value.
    """
    rng = np.random.default_rng(seed)
    pools = []
    for case in cases:
        array = case.read().array
        values = (array if array.ndim == 3 else array[..., channel]).ravel()
        few = len(values) <= SAMPLES_A_CASE
        pools.append(values if few else rng.choice(values, SAMPLES_A_CASE, replace=False))
    pool = np.concatenate(pools)
    if pool.min() == pool.max():
        raise InputRefused("constant-images", f"Every voxel of all images is {pool[0]:g}",
                           do="Look at the images")  # fmt: skip
    return _window(pool)


def _window(pool: np.ndarray) -> Clip:
    low, high = np.percentile(pool, [0.5, 99.5])
    if low == high:
        low, high = pool.min(), pool.max()
    return Clip(
        low=float(low), high=float(high),
        mean=float(pool.mean(dtype=np.float64)), deviation=float(pool.std(dtype=np.float64)),
    )  # fmt: skip
