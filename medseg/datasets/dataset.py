"""A data set: its cases, its labels, and how a case is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medseg.datasets.splits import Fold
from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.geometry import Geometry
from medseg.labels import Label, LabelSet
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
        For each channel the file or DICOM folder, and which volume of it when it holds several.
    label : Path
        The label map, on the grid of the image; or a DICOM SEG or RTSTRUCT of it.
    patient : str
        Equal for the cases of one patient, which no split divides; empty where unknown, then
        the case stands for itself. Compared, never printed: it may be a hash of an id.
    series : tuple of str
        For channels from DICOM folders of several series, which one: the hash of its identity.
    structures : tuple of (str, int)
        For labels in DICOM: patterns of structure names, and the label value of each.
    """

    name: str
    images: tuple[tuple[Path, int | None], ...]
    label: Path
    patient: str = ""
    series: tuple[str, ...] = ()
    structures: tuple[tuple[str, int], ...] = ()


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
        Values and names; background left out. Where the data set is described by regions, they
        are the labels that have a ``region``, in the order in which they are painted.
    ignore : int or None
        The value of voxels that nobody labelled; it is no label.
    folds : tuple of Fold
        The split that came with the data set; empty where there is none.
    findings : tuple of Finding
        What is odd about the data set as it lies there; for DICOM what was left out.
    """

    name: str
    cases: tuple[Case, ...]
    channels: tuple[str, ...]
    labels: LabelSet
    ignore: int | None = None
    folds: tuple[Fold, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_case(case: Case, labels: LabelSet, ignore: int | None = None) -> tuple[Volume, LabelMap]:
    """Read the image, all channels, and the label map of a case.

    Channels on other grids than the first are resampled onto it, linearly, with the finding
    ``channel-resampled``; beyond their edges they take their least value.

    Parameters
    ----------
    case : Case
    labels : LabelSet
    ignore : int, optional
        A value that may stand in the label map beside those of ``labels``.

    Returns
    -------
    Volume
        ``(I, J, K)``, or ``(I, J, K, C)`` with more than one channel.
    LabelMap
        On the same grid.

    Raises
    ------
    InputRefused
        ``grids-differ``: image and label do not lie on one grid. ``structures-ambiguous``: one
        structure fits two labels. Others of :mod:`medseg.reading`; the words name the case.
    """
    try:
        return _read(case, labels, ignore)
    except InputRefused as refusal:
        raise refused(case.name, refusal) from refusal


def refused(case: str, refusal: InputRefused) -> InputRefused:
    """Return the refusal of a case, which its words name."""
    return InputRefused(refusal.code, f"Case {case}: {refusal.found}", do=refusal.do)


def _read(case: Case, labels: LabelSet, ignore: int | None) -> tuple[Volume, LabelMap]:
    channels = [_read_channel(case, number) for number in range(len(case.images))]
    volume = _stacked(channels)
    if case.structures:
        from medseg.datasets.structures import read_structures

        return volume, read_structures(case, labels, volume)
    truth = _read_map(case.label, labels, ignore)
    if not truth.geometry.same_as(volume.geometry, GRID_TOLERANCE_MM):
        raise InputRefused(
            "grids-differ",
            "image and label lie on different grids: " + _apart(volume.geometry, truth.geometry),
            do="Resample one onto the other before training",
        )
    # the label's own affine may differ in the fifth digit: one grid from here on
    return volume, truth.moved(truth.array, volume.geometry)


def _read_channel(case: Case, number: int) -> Volume:
    from medseg.reading import read

    path, volume = case.images[number]
    if not case.series:
        return read(path, volume=volume)
    from medseg.datasets.studies import read_series

    return read_series(path, case.series[number])


def _read_map(path: Path, labels: LabelSet, ignore: int | None) -> LabelMap:
    from medseg.reading import read_labels

    if ignore is None:
        return read_labels(path, labels)
    known = LabelSet((*labels, Label(ignore, f"ignore {ignore}")))
    return replace(read_labels(path, known), labels=labels)


def _stacked(channels: Sequence[Volume]) -> Volume:
    """Return one volume of all channels, on the grid of the first."""
    first = channels[0]
    if len(channels) == 1:
        return first
    arrays, findings = [first.array], list(first.findings)
    for number, channel in enumerate(channels[1:], start=1):
        findings += [one for one in channel.findings if one not in findings]
        if channel.geometry.same_as(first.geometry, GRID_TOLERANCE_MM):
            arrays.append(channel.array)
            continue
        words = (f"Channel {number} lies on another grid than channel 0 and was resampled onto "
                 f"it: {_apart(first.geometry, channel.geometry)}")  # fmt: skip
        findings.append(Finding("warning", "channel-resampled", words))
        arrays.append(_resampled(channel, first.geometry))
    stacked = np.stack(arrays, axis=-1)  # (I, J, K, C)
    return replace(first, array=stacked, findings=tuple(findings))


def _resampled(channel: Volume, onto: Geometry) -> np.ndarray:
    from medseg.preparing.restore import interpolated

    least = float(channel.array.min())
    return interpolated(channel.array, channel.geometry, onto, outside=least)


def _apart(one: Geometry, other: Geometry) -> str:
    """Say by what two grids differ."""
    if one.shape != other.shape:
        return f"{_by(one.shape)} and {_by(other.shape)} voxels"
    apart = np.abs(one.corners - other.corners).max()
    return f"corners are up to {apart:.3g} mm apart"


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
