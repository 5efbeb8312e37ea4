"""A scan and a label map: arrays that know where they lie and where they came from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from medseg.errors import GeometryRefused
from medseg.findings import Finding
from medseg.geometry import Geometry
from medseg.labels import LabelSet


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Source:
    """Where a volume was read from; holds what exports need, prints nothing private.

    Attributes
    ----------
    case : str
        Name for folders and logs: a file stem, or a pseudonym made of hashes for DICOM.
    form : {"dicom", "nifti", "nrrd", "metaimage", "mgh", "array"}
        What kind of source it was.
    files : tuple of Path
        Every file that was read; DICOM slices in array order along k.
    frames : tuple of (Path, int)
        For DICOM: file and frame (0-based) of each slice k; i runs along the columns of the
        image, j along its rows. Empty otherwise.
    header : Any
        The source's own header where an exporter copies from it (nibabel header for NIfTI).
    keeps : object
        What the files need to stay, such as the folder that an archive was unpacked to.
    """

    case: str
    form: str = "array"
    files: tuple[Path, ...] = ()
    frames: tuple[tuple[Path, int], ...] = ()
    header: Any = None
    keeps: object = None

    def __repr__(self) -> str:
        return f"Source({self.case!r}, {self.form!r}, {len(self.files)} files)"


def _check_fits(array: np.ndarray, geometry: Geometry) -> None:
    if array.shape[:3] != geometry.shape:
        raise GeometryRefused(
            "shape-mismatch",
            f"An array of shape {array.shape} does not lie on a grid of {geometry.shape}",
        )


@dataclass(frozen=True, eq=False, slots=True)
class Volume:
    """A scan: intensities on a grid.

    Parameters
    ----------
    array : (I, J, K) or (I, J, K, C) float32 array
        Values in the scanner's units (HU for CT), axes in file order.
    geometry : Geometry
        Where the voxels lie.
    modality : str
        DICOM modality code, ``"CT"``, ``"MR"``, ``"PT"``; empty when the file does not say.
    source : Source
        Where it came from.
    findings : tuple of Finding
        What reading found odd.

    Raises
    ------
    GeometryRefused
        ``shape-mismatch``: array and grid differ.
    """

    array: np.ndarray
    geometry: Geometry
    modality: str = ""
    source: Source = field(default_factory=lambda: Source("array"))
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        _check_fits(self.array, self.geometry)

    @property
    def channels(self) -> int:
        """Number of channels; 1 for a plain ``(I, J, K)`` array."""
        return 1 if self.array.ndim == 3 else self.array.shape[3]

    def moved(self, array: np.ndarray, geometry: Geometry) -> Volume:
        """Return the same scan on another grid."""
        return replace(self, array=array, geometry=geometry)


@dataclass(frozen=True, eq=False, slots=True)
class LabelMap:
    """Labels on a grid.

    Parameters
    ----------
    array : (I, J, K) unsigned integer array
        0 is background, other values are those of ``labels``.
    geometry : Geometry
        Where the voxels lie.
    labels : LabelSet
        What the values mean.
    findings : tuple of Finding
        What reading found odd.

    Raises
    ------
    GeometryRefused
        ``shape-mismatch``: array and grid differ.
    """

    array: np.ndarray
    geometry: Geometry
    labels: LabelSet = field(default_factory=LabelSet)
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        _check_fits(self.array, self.geometry)
        if not np.issubdtype(self.array.dtype, np.unsignedinteger):
            raise TypeError(f"labels must be unsigned integers, not {self.array.dtype}")

    def moved(self, array: np.ndarray, geometry: Geometry) -> LabelMap:
        """Return the same labels on another grid."""
        return replace(self, array=array, geometry=geometry)

    def volumes_ml(self) -> dict[str, float]:
        """Return the volume of each label and region in ml, 0 for one that is absent."""
        counts = np.bincount(self.array.ravel("K"), minlength=1)  # "K": any order, no copy
        found = {value: int(n) for value, n in enumerate(counts)}
        return {
            label.name: sum(found.get(v, 0) for v in label.region or (label.value,))
            * self.geometry.voxel_mm3
            / 1000
            for label in self.labels
        }
