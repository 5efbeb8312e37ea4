"""A data set: its cases, its labels, and how a case is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.errors import InputRefused
from medseg.labels import LabelSet
from medseg.volume import LabelMap, Volume

GRID_TOLERANCE_MM = 0.01  # image and label files round their affines apart by this much


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled image.

    Attributes
    ----------
    name : str
        Unique in its data set.
    images : tuple of (Path, int or None)
        For each channel the file, and which volume of it when it holds several.
    label : Path
        The label map, on the grid of the image.
    """

    name: str
    images: tuple[tuple[Path, int | None], ...]
    label: Path


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled cases of one task, sorted by name.

    Attributes
    ----------
    name : str
        As the data set calls itself.
    cases : tuple of Case
    channels : tuple of str
        Name of each input channel, such as ``"CT"`` or ``"T1"``.
    labels : LabelSet
        Values and names; background left out.
    """

    name: str
    cases: tuple[Case, ...]
    channels: tuple[str, ...]
    labels: LabelSet


def read_case(case: Case, labels: LabelSet) -> tuple[Volume, LabelMap]:
    """Read the image, all channels, and the label map of a case.

    Returns
    -------
    Volume
        ``(I, J, K)``, or ``(I, J, K, C)`` with more than one channel.
    LabelMap
        On the same grid.

    Raises
    ------
    InputRefused
        ``grids-differ``: image, channels or label do not lie on one grid. Others of
        :mod:`medseg.reading`; the words name the case.
    """
    try:
        return _read(case, labels)
    except InputRefused as refusal:
        raise InputRefused(
            refusal.code, f"Case {case.name}: {refusal.found}", do=refusal.do
        ) from refusal


def _read(case: Case, labels: LabelSet) -> tuple[Volume, LabelMap]:
    from medseg.reading import read, read_labels

    channels = [read(path, volume=volume) for path, volume in case.images]
    truth = read_labels(case.label, labels)
    grids = [channel.geometry for channel in channels]
    for grid in (*grids[1:], truth.geometry):
        if not grid.same_as(grids[0], GRID_TOLERANCE_MM):
            raise InputRefused(
                "grids-differ", "image and label lie on different grids",
                do="Resample one onto the other before training",
            )  # fmt: skip
    volume = channels[0]
    if len(channels) > 1:
        stacked = np.stack([channel.array for channel in channels], axis=-1)  # (I, J, K, C)
        volume = volume.moved(stacked, volume.geometry)
    # the label's own affine may differ in the fifth digit: one grid from here on
    return volume, truth.moved(truth.array, volume.geometry)
