"""An image file of one grid: where it lies, what is odd about it, and its values on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medseg.errors import GeometryRefused, InputRefused
from medseg.findings import Finding
from medseg.geometry import Geometry, Shape


@dataclass(frozen=True, eq=False, slots=True)
class ImageFile:
    """An opened file; voxels are still on the disk.

    Attributes
    ----------
    files : tuple of Path
        The file that was opened, and that of its voxels where it is another.
    geometry : Geometry
        The grid, axes in file order.
    volumes : int
        Those along a fourth axis, 1 for a plain scan.
    findings : tuple of Finding
        What its header shows.
    load : callable
        Reads one volume by its number: ``(I, J, K)``, in the file's own type or scaled where
        its header says so.
    header : Any
        nibabel's header of a NIfTI file, for exports to copy from; None for other forms.
    """

    files: tuple[Path, ...]
    geometry: Geometry
    volumes: int
    findings: tuple[Finding, ...]
    load: Callable[[int], np.ndarray]
    header: Any = None


def shape_and_volumes(sizes: tuple[int, ...]) -> tuple[Shape, int]:
    """Return the shape of the grid and the number of volumes of an array of two to four axes.

    Raises
    ------
    InputRefused
        ``nifti-not-scalar``: it has fewer axes, or more.
    """
    if len(sizes) < 2 or min(sizes) < 1 or any(n > 1 for n in sizes[4:]):
        said = " x ".join(map(str, sizes))
        raise InputRefused("nifti-not-scalar", f"An image of {said} voxels is no volume",
                           do="Give an image of three axes")  # fmt: skip
    i, j, k, volumes, *_ = (*sizes, 1, 1)
    return (i, j, k), volumes


def grid(shape: Shape, affine: np.ndarray) -> Geometry:
    """Return a grid; ``geometry-invalid`` where the header's affine makes none."""
    try:
        return Geometry(shape, affine)
    except GeometryRefused as refusal:
        raise InputRefused("geometry-invalid", refusal.found) from None


def not_scalar(kind: str) -> InputRefused:
    """Return the refusal of voxels that hold more than one number."""
    return InputRefused("nifti-not-scalar", f"The voxels hold {kind} values",
                        do="Give an image with one number a voxel")  # fmt: skip


def check_spacing(sizes: np.ndarray) -> None:
    """Refuse voxel sizes of 0 or none at all (``zero-spacing``)."""
    if not np.isfinite(sizes).all() or (sizes == 0).any():
        said = " x ".join(f"{size:g}" for size in sizes)
        raise InputRefused("zero-spacing", f"zero spacing: the voxel size is given as {said} mm",
                           do="Correct the header or convert the image again")  # fmt: skip


def cut_off(words: str) -> InputRefused:
    """Return the refusal of a file that was cut off."""
    return InputRefused("file-truncated", f"truncated file: {words}",
                        do="Copy or convert it again")  # fmt: skip


def no_orientation() -> Finding:
    """Return the warning that left and right are not known."""
    words = "The file does not say how it lies in the patient: left and right are a guess"
    return Finding("warning", "no-orientation", words)


def chosen_volume(image: ImageFile, volume: int | None) -> int:
    """Return which volume along the fourth axis to read.

    Raises
    ------
    InputRefused
        ``several-volumes``: there are more and none was asked for; ``volume-invalid``: there
        is no such one.
    """
    if volume is None and image.volumes > 1:
        raise InputRefused(*several_volumes(image.volumes), do="Ask for one of them by its number")
    if not 0 <= (volume or 0) < image.volumes:
        raise InputRefused("volume-invalid", f"There is no volume {volume}: they run from 0 to "
                                             f"{image.volumes - 1}")  # fmt: skip
    return volume or 0


def several_volumes(count: int) -> tuple[str, str]:
    """Return the code and words for a file of several volumes."""
    words = f"more than one volume: the file holds {count} along its fourth axis, from 0 to "
    return "several-volumes", f"{words}{count - 1}"


def raw_values(image: ImageFile, volume: int | None = None) -> np.ndarray:
    """Return the voxels ``(I, J, K)`` in their own type, or scaled where the header says so."""
    return image.load(chosen_volume(image, volume))


def scan_values(image: ImageFile, volume: int | None = None) -> tuple[np.ndarray, list[Finding]]:
    """Return the voxels as a float32 array ``(I, J, K)``, NaN and inf made the least true value.

    Raises
    ------
    InputRefused
        ``not-finite``: there is no finite value at all; and those of :func:`chosen_volume`.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and so treated
        array = raw_values(image, volume).astype(np.float32)
    finite = np.isfinite(array)
    lost = array.size - int(np.count_nonzero(finite))
    if not lost:
        return array, []
    if lost == array.size:
        raise InputRefused("not-finite", "Every voxel is NaN or infinite",
                           do="Convert the image again")  # fmt: skip
    least = array[finite].min()
    array[~finite] = least
    words = f"{lost} of {array.size} voxels are NaN or infinite and were set to {least:g}"
    return array, [Finding("warning", "not-finite", words)]
