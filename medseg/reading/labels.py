"""Label maps from files: whole numbers, kept exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from medseg.errors import InputRefused
from medseg.geometry import Geometry, axes_towards
from medseg.labels import Label, LabelSet
from medseg.reading.forms import opened
from medseg.reading.image_file import raw_values
from medseg.reading.scan import Found, scan
from medseg.volume import LabelMap, Volume

LARGEST = 65535  # of uint16; more labels than any task has
_OBJECTS = ("RTSTRUCT", "SEG")


def read_labels(
    path: str | Path,
    labels: LabelSet | None = None,
    onto: Volume | None = None,
    only: Collection[int | str] | int | str = (),
) -> LabelMap:
    """Return the label map in an image file, a DICOM SEG or an RT Structure Set.

    Parameters
    ----------
    path : str or Path
        A NIfTI, NRRD, MetaImage or MGH file of whole numbers (stored as floats if need be), a
        DICOM SEG file, a DICOM RTSTRUCT file, or a folder or an archive with one of these.
    labels : LabelSet, optional
        What the values mean. Without it the labels of an image file are called
        ``"Label 1"`` and so on; DICOM files name their own.
    onto : Volume, optional
        The scan the labels belong to. Image files and SEG must lie on its grid, up to order and
        direction of the axes, and are returned in its order; nothing is resampled. The
        contours of an RTSTRUCT have no grid: they are filled on that of the scan, which has
        to be given.
    only : collection of int or str, optional
        Values or names of the labels to read (segment or ROI numbers; case of names does not
        matter), as structures that overlap have to be read one by one. All when empty.

    Returns
    -------
    LabelMap
        uint8, or uint16 where values are above 255.

    Raises
    ------
    InputRefused
        ``labels-not-whole``, ``labels-out-of-range``, ``labels-unknown``: what the values
        are; ``labels-missing``: one of ``only`` is not there; ``grids-differ``: they do not
        lie on the scan; ``labels-form-unknown``: no label file, or several; and the codes of
        reading an image file, of :func:`medseg.reading.segmentation.read_seg` and of
        :func:`medseg.reading.rtstruct.read_rtstruct`.
    """
    listed = scan(path)  # held to the end, as long as an archive has to stay unpacked
    form, file = _label_file(listed)
    if form == "SEG":
        from medseg.reading.segmentation import read_seg

        return read_seg(file, onto, only)
    if form == "RTSTRUCT":
        from medseg.reading.rtstruct import read_rtstruct

        return read_rtstruct(file, onto, only)
    return _chosen(_read_image(file, labels, onto), only)


def _label_file(listed: Found) -> tuple[str, Path]:
    """Return the form and the place of the one label file that was found."""
    found = [(one.form, one.files[0]) for one in listed if one.form != "dicom"]
    found += [(one.modality, file) for one in listed for file in one.files
              if one.form == "dicom" and one.modality in _OBJECTS]  # fmt: skip
    if len(found) == 1:
        return found[0]
    damaged = len(listed) == 1 and not listed[0].modality and listed[0].refusal()
    if damaged:
        raise damaged
    kinds = Counter(form for form, _ in found)
    counted = ", ".join(f"{count} {form}" for form, count in sorted(kinds.items()))
    raise InputRefused(
        "labels-form-unknown",
        f"There are {len(found)} label files here" + (f": {counted}" if found else ""),
        do="Give one image file, DICOM SEG or RTSTRUCT",
    )


def _read_image(file: Path, labels: LabelSet | None, onto: Volume | None) -> LabelMap:
    image = opened(file)
    array = _whole_numbers(raw_values(image))
    counts = np.bincount(array.ravel(order="K"))
    found = np.flatnonzero(counts).tolist()
    if labels is None:
        labels = LabelSet(tuple(Label(n, f"Label {n}") for n in found if n))
    elif strange := sorted(set(found) - set(labels.values)):
        raise InputRefused(
            "labels-unknown",
            f"The values {', '.join(map(str, strange[:10]))} have no name among the labels",
            do="Add them to the label file, or correct the mask",
        )
    geometry = image.geometry
    if onto is not None:
        array, geometry = _in_order_of(onto.geometry, array, geometry)
    return LabelMap(array, geometry, labels)


def _chosen(labels: LabelMap, only: Collection[int | str] | int | str) -> LabelMap:
    kept = labels.labels.chosen(only)
    if kept == labels.labels:
        return labels
    array = np.where(np.isin(labels.array, kept.values), labels.array, 0)
    return replace(labels, array=array, labels=kept)


def _whole_numbers(values: np.ndarray) -> np.ndarray:
    """Return values as uint8 or uint16, exactly."""
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.rint(values))
        if not whole.all():
            lost = values.size - int(np.count_nonzero(whole))
            raise InputRefused(
                "labels-not-whole",
                f"{lost} of {values.size} label values are no whole numbers",
                do="Give the mask itself; a resampled or scaled one has lost its values",
            )
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low < 0 or high > LARGEST:
        raise InputRefused("labels-out-of-range", f"Label values run from {low} to {high}",
                           do=f"Use values from 0 to {LARGEST}")  # fmt: skip
    return values.astype(np.uint8 if high <= 255 else np.uint16)


def _in_order_of(
    wanted: Geometry, array: np.ndarray, geometry: Geometry
) -> tuple[np.ndarray, Geometry]:
    moves = axes_towards(geometry, wanted.orientation)
    moved = moves.of_geometry(geometry)
    if not moved.same_as(wanted):
        raise InputRefused(
            "grids-differ",
            f"The labels do not lie on the grid of the scan: {_apart(moved, wanted)}",
            do="Give the mask that was drawn on this scan",
        )
    return moves.of_array(array), wanted


def _apart(one: Geometry, other: Geometry) -> str:
    if one.shape != other.shape:
        return f"{one.shape} and {other.shape} voxels"
    return f"corners are up to {np.abs(one.corners - other.corners).max():.3f} mm apart"
