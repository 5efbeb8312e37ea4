"""What a DICOM SEG or RTSTRUCT says of itself: its labels, and the images they belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from medseg.dicom import require
from medseg.errors import InputRefused
from medseg.labels import LabelSet
from medseg.reading.outlines import outlines_in
from medseg.reading.segmentation import labels_of, seg_dataset


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class References:
    """The labels of an object, and the UIDs of what they were drawn on; private.

    Attributes
    ----------
    labels : LabelSet
        Values are the ROI or segment numbers.
    instances, series : frozenset of str
        SOP instances and series that it names; an object may name either, or neither.
    """

    labels: LabelSet
    instances: frozenset[str]
    series: frozenset[str]


def references(path: Path) -> References:
    """Return what a DICOM SEG or RTSTRUCT says of itself, without a scan and without masks.

    Raises
    ------
    InputRefused
        The codes of :func:`medseg.reading.segmentation.read_seg` and of
        :func:`medseg.reading.rtstruct.read_rtstruct` for files that cannot be read.
    """
    with require.quiet():
        try:
            return _of_structures(path)
        except InputRefused as refusal:
            if refusal.code != "rtstruct-foreign":
                raise
        return _of_segments(seg_dataset(path))


def _of_structures(path: Path) -> References:
    outlines = outlines_in(path, (), Counter())
    labels = LabelSet(tuple(roi.label for roi in outlines.rois))
    drawn = (contour.images for roi in outlines.rois for contour in roi.contours)
    return References(labels, frozenset(outlines.series_of).union(*drawn), outlines.series)


def _of_segments(dataset: Dataset) -> References:
    try:
        labels = labels_of(dataset)
        series = {require.text(one, "SeriesInstanceUID")
                  for one in dataset.get("ReferencedSeriesSequence") or ()}  # fmt: skip
        instances = frozenset(_sources(dataset))
    except InputRefused:
        raise
    except Exception:  # a damaged part raises whatever its parser happens to
        raise InputRefused(
            "seg-unreadable",
            "The Segmentation cannot be read: a part of its header is missing or damaged",
            do="Export it again",
        ) from None
    return References(labels, instances - {""}, frozenset(series - {""}))


def _sources(dataset: Dataset) -> Iterator[str]:
    """Yield the instances that a Segmentation names, for all of it and frame by frame."""
    for series in dataset.get("ReferencedSeriesSequence") or ():
        for instance in series.get("ReferencedInstanceSequence") or ():
            yield require.text(instance, "ReferencedSOPInstanceUID")
    groups = [*(dataset.get("SharedFunctionalGroupsSequence") or ()),
              *(dataset.get("PerFrameFunctionalGroupsSequence") or ())]  # fmt: skip
    for group in groups:
        for derivation in group.get("DerivationImageSequence") or ():
            for source in derivation.get("SourceImageSequence") or ():
                yield require.text(source, "ReferencedSOPInstanceUID")
