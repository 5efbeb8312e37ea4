"""Both masks of a case on one grid, read with the scan where DICOM needs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medseg.errors import InputRefused
from medseg.evaluation.labelling import agreed
from medseg.evaluation.match import Pair
from medseg.findings import Finding
from medseg.geometry import Geometry, axes_towards, cropped
from medseg.labels import Label, LabelSet
from medseg.preparing.restore import alignment, moved
from medseg.reading import read, read_labels
from medseg.reading.forms import form_of
from medseg.volume import LabelMap, Source, Volume

SAME_GRID_MM = 0.01  # programs that write NIfTI round their affines apart by this much


@dataclass(frozen=True, eq=False, slots=True)
class Placed:
    """A case as it is judged: two masks on the reference's grid, with one label set.

    ``image`` is None where no scan was given or it could not be read; the findings say so.
    """

    prediction: LabelMap
    reference: LabelMap
    image: Volume | None
    findings: tuple[Finding, ...]


def placed(
    pair: Pair,
    labels: LabelSet | None = None,
    *,
    resample: bool = False,
    empty_prediction: bool = False,
    scan: bool = False,
    ignore: int | None = None,
) -> Placed:
    """Read a case and bring the prediction onto the reference's grid.

    Order and direction of the axes may differ; DICOM masks are put on the scan where there is
    one, else on the grid of the other side. Two DICOM Segmentations of one scan may reach over
    different slices: both are put on the grid that spans them.

    Parameters
    ----------
    pair : Pair
    labels : LabelSet, optional
        What the values mean; by default what the files say.
    resample : bool
        Take a prediction on another grid by nearest voxel, with a finding, where it would be
        refused.
    empty_prediction : bool
        Take a missing prediction for an empty one.
    scan : bool
        Read the scan too; else only where a mask needs it.
    ignore : int, optional
        Value in the reference of voxels that nobody labelled: both masks are empty there.

    Raises
    ------
    InputRefused
        ``grids-differ`` and what reading and :func:`agreed` refuse.
    """
    assert pair.reference is not None
    files = [path for path in (pair.prediction, pair.reference) if path is not None]
    image: Volume | None = None
    findings: tuple[Finding, ...] = ()
    if scan or not all(form_of(path) for path in files):
        image, findings = _image(pair)
    reference = _read(pair.reference, _with(labels, ignore), image)
    image, reference, told = _on_scan(image, reference)
    findings += (*reference.findings, *told)
    if pair.prediction is None:
        assert empty_prediction
        words = "There is no prediction: the case counts as one where nothing was found"
        prediction = reference.moved(np.zeros_like(reference.array), reference.geometry)
        found = Finding("warning", "prediction-missing", words)
        prediction, reference = _labelled(prediction, reference, ignore)
        return Placed(prediction, reference, image, (*findings, found))
    frame = image or _grid_of(pair, reference)
    try:
        prediction = _read(pair.prediction, labels, frame)
    except InputRefused as refusal:
        if not resample or refusal.code not in ("seg-grid", "grids-differ"):
            raise
        prediction = _read(pair.prediction, labels, None)
    if frame is None:
        prediction, reference = _spanned(prediction, reference)
    prediction, told = on_grid(prediction, reference.geometry, resample=resample)
    prediction, reference = _labelled(prediction, reference, ignore)
    prediction, reference, assumed = agreed(prediction, reference, labels)
    findings += (*prediction.findings, *told, *assumed)
    return Placed(prediction, reference, image, findings)


def _with(labels: LabelSet | None, ignore: int | None) -> LabelSet | None:
    """Return labels that allow a value which is none."""
    if labels is None or ignore is None:
        return labels
    return LabelSet((*labels, Label(ignore, f"ignore {ignore}")))


def _labelled(
    prediction: LabelMap, reference: LabelMap, ignore: int | None
) -> tuple[LabelMap, LabelMap]:
    """Return both masks, on one grid, without voxels that nobody labelled."""
    if ignore is None:
        return prediction, reference
    known = reference.array != ignore
    labels = LabelSet(tuple(one for one in reference.labels if one.value != ignore))
    return (
        prediction.moved(prediction.array * known, prediction.geometry),
        replace(reference, array=reference.array * known, labels=labels),
    )


def _image(pair: Pair) -> tuple[Volume | None, tuple[Finding, ...]]:
    """Return the scan; what a mask may do without is no reason to refuse the case."""
    if pair.image is None:
        return None, ()
    try:
        volume = read(pair.image)
    except InputRefused as refusal:
        return None, (Finding("warning", refusal.code, f"The scan was not used: {refusal.found}"),)
    return replace(volume, source=Source(pair.case, volume.source.form, volume.source.files)), ()


def _read(path: Path, labels: LabelSet | None, onto: Volume | None) -> LabelMap:
    """Read a mask; an image file on its own grid, which is compared later and more kindly."""
    return read_labels(path, labels, None if form_of(path) else onto)


def _on_scan(
    image: Volume | None, reference: LabelMap
) -> tuple[Volume | None, LabelMap, tuple[Finding, ...]]:
    """Return the reference in the order of the scan's axes; a scan of another grid is dropped."""
    if image is None:
        return None, reference, ()
    try:
        reference, _ = on_grid(reference, image.geometry)
    except InputRefused:
        words = "The scan was not used: the reference does not lie on its grid"
        return None, reference, (Finding("warning", "scan-left-out", words),)
    return image, reference, ()


def _grid_of(pair: Pair, reference: LabelMap) -> Volume | None:
    """Return an empty scan on the reference's grid, unless that is only as far as its frames."""
    assert pair.reference is not None
    if not form_of(pair.reference):
        return None
    nothing = np.broadcast_to(np.float32(0), reference.geometry.shape)  # takes no memory
    return Volume(nothing, reference.geometry)


def on_grid(
    labels: LabelMap,
    target: Geometry,
    *,
    resample: bool = False,
    words: tuple[str, str] = ("prediction", "reference's grid"),
) -> tuple[LabelMap, tuple[Finding, ...]]:
    """Return a mask in the axis order of a grid that it lies on, or resampled onto it.

    Raises
    ------
    InputRefused
        ``grids-differ``: it lies on another grid, by more than rounding of affines explains.
    """
    moves = axes_towards(labels.geometry, target.orientation)
    turned = moves.of_geometry(labels.geometry)
    if turned.same_as(target, SAME_GRID_MM):
        return labels.moved(moves.of_array(labels.array), target), ()
    what, grid = words
    if not resample:
        raise InputRefused(
            "grids-differ", f"The {what} does not lie on the {grid}: {_apart(turned, target)}",
            do="Predict on the scan's own grid, or allow resampling with --resample",
        )  # fmt: skip
    told = f"The {what} was resampled onto the {grid} by nearest voxel: {_apart(turned, target)}"
    return moved(labels, target), (Finding("warning", "resampled", told),)


def _apart(one: Geometry, other: Geometry) -> str:
    if one.shape != other.shape:
        return f"{_times(one.shape)} and {_times(other.shape)} voxels"
    return f"corners are up to {np.abs(one.corners - other.corners).max():.3f} mm apart"


def _times(shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, shape))


def _spanned(one: LabelMap, other: LabelMap) -> tuple[LabelMap, LabelMap]:
    """Return two masks on the grid that spans both, if their voxels lie on one another."""
    if one.geometry.same_as(other.geometry):
        return one, other
    aligned = alignment(other.geometry, one.geometry)
    if aligned is None or not aligned.exact:
        return one, other
    turned = aligned.axes.of_geometry(one.geometry)
    start = np.rint(aligned.offset).astype(int)
    first = np.minimum(start, 0)
    last = np.maximum(start + turned.shape, other.geometry.shape)
    i, j, k = first.tolist()
    a, b, c = (last - first).tolist()
    target = cropped(other.geometry, (i, j, k), (a, b, c))
    return moved(one, target), moved(other, target)
