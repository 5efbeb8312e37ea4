"""A data set: its cases, its labels, its split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medseg.findings import Finding
from medseg.labels import LabelSet


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
class Fold:
    """Names of the cases that train and of those held out."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]


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
