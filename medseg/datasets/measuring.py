"""What a check has to know of one case: read once, measured, let go."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from medseg.datasets.dataset import Case, read_case
from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.geometry import axes_towards
from medseg.labels import LabelSet
from medseg.volume import LabelMap, Volume

THUMBNAIL = 12  # boxes along each axis: a body's shape is seen, its noise is not
_AXES = "RAS"


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """One label of one case.

    Attributes
    ----------
    volume_ml : float
    contrast : float
        Mean of the image inside less that of all, over the image's deviation; first channel.
    place : (3,) array
        Its centre as a fraction of the scan's extent along the axes ``RAS``.
    """

    volume_ml: float
    contrast: float
    place: np.ndarray


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    """One case in numbers; only the refusal where it could not be read.

    Attributes
    ----------
    name, patient : str
    refusal : InputRefused or None
    findings : tuple of Finding
        What reading found odd.
    orientation : str
        As in the file.
    spacing : (float, float, float)
        mm along the axes ``RAS``.
    image, truth : str
        SHA-256 of the voxels in order ``RAS``; of the labels empty where none is set.
    thumbnail : array
        Means of the first channel in 12 x 12 x 12 boxes, less their mean and of length 1.
    constant : tuple of int
        Channels that have one value everywhere.
    labels : dict
        By value, those that are present.
    """

    name: str
    patient: str
    refusal: InputRefused | None = None
    findings: tuple[Finding, ...] = ()
    orientation: str = ""
    spacing: tuple[float, ...] = ()
    image: str = ""
    truth: str = ""
    thumbnail: np.ndarray = field(default_factory=lambda: np.zeros(0))
    constant: tuple[int, ...] = ()
    labels: dict[int, Seen] = field(default_factory=dict)


def measure(case: Case, labels: LabelSet, ignore: int | None = None) -> Measured:
    """Read and measure a case; whatever stops that is its refusal."""
    try:
        volume, truth = read_case(case, labels, ignore)
    except InputRefused as refusal:
        cause = refusal.__cause__  # the same without the case's name, which the report has
        told = cause if isinstance(cause, InputRefused) else refusal
        return Measured(case.name, case.patient, told)
    except MemoryError:
        told = InputRefused("memory-short", "There is not enough memory for this scan",
                            do="Close other programs, or use a larger machine")  # fmt: skip
        return Measured(case.name, case.patient, told)
    return _measured(case, volume, truth, ignore)


def _measured(case: Case, volume: Volume, truth: LabelMap, ignore: int | None) -> Measured:
    turn = axes_towards(volume.geometry, _AXES)
    image, values = turn.of_array(volume.array), turn.of_array(truth.array)
    channels = [image] if image.ndim == 3 else [image[..., c] for c in range(image.shape[3])]
    return Measured(
        case.name,
        case.patient,
        findings=(*volume.findings, *truth.findings),
        orientation=volume.geometry.orientation,
        spacing=turn.of_geometry(volume.geometry).spacing,
        image=_digest(image),
        truth=_digest(values) if values.any() else "",
        thumbnail=thumbnail(channels[0]),
        constant=tuple(n for n, one in enumerate(channels) if one.min() == one.max()),
        labels=_labels(channels[0], values, volume.geometry.voxel_mm3, ignore),
    )


def _digest(array: np.ndarray) -> str:
    told = hashlib.sha256(repr((array.shape, array.dtype.kind)).encode())
    for plane in array:  # a view in another order than memory is copied plane by plane
        told.update(np.ascontiguousarray(plane).data)
    return told.hexdigest()


def thumbnail(array: np.ndarray) -> np.ndarray:
    """Return the means of ``(I, J, K)`` in boxes, less their mean, of length 1; or all zeros.

    An axis of fewer voxels than boxes is repeated.
    """
    small = array.astype(np.float32, copy=False)
    for axis, size in enumerate(array.shape):
        starts = np.arange(THUMBNAIL) * size // THUMBNAIL
        counts = np.maximum(np.diff([*starts, size]), 1)
        shape = [-1 if n == axis else 1 for n in range(3)]
        small = np.add.reduceat(small, starts, axis) / counts.reshape(shape)
    centred = small.ravel() - small.mean()
    length = float(np.linalg.norm(centred))
    return centred / length if length else centred


def _labels(
    image: np.ndarray, values: np.ndarray, voxel_mm3: float, ignore: int | None
) -> dict[int, Seen]:
    present = [int(n) for n in np.flatnonzero(np.bincount(values.ravel())) if n not in (0, ignore)]
    mean, deviation = float(image.mean(dtype=np.float64)), float(image.std(dtype=np.float64))
    seen = {}
    for value in present:
        index = np.nonzero(values == value)
        inside = float(image[index].mean(dtype=np.float64))
        place = np.array([(axis.mean() + 0.5) / size
                          for axis, size in zip(index, values.shape, strict=True)])  # fmt: skip
        contrast = (inside - mean) / deviation if deviation else 0.0
        seen[value] = Seen(len(index[0]) * voxel_mm3 / 1000, contrast, place)
    return seen
