"""Phantoms sent the whole way from file to mask and back, to see that nothing flips or drifts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from medseg.errors import InputRefused, OutputFailed
from medseg.exporting import write
from medseg.geometry import Geometry, Spacing, axes_towards, rescaled
from medseg.inference import Segmenter
from medseg.models import Card, Dataset, ModelPackage
from medseg.phantoms.nifti import write_nifti
from medseg.phantoms.orientations import (
    LABELS,
    axis_orientations,
    centroids_mm,
    label_phantom,
    oblique_grids,
)
from medseg.phantoms.study import series_of
from medseg.plan import Channel, Clip, Network, Plan
from medseg.preparing import moved
from medseg.reading import read, read_labels
from medseg.volume import LabelMap, Volume

EXACT_MM = 0.01  # of a centroid that must not move: NIfTI keeps places in single precision
RESAMPLED_VOXELS = 0.1  # of the scan: how far a centroid may move by resampling
NETWORK_MM = (3.0, 3.0, 3.0)  # finer and coarser than the phantom's voxels
PATCH = (32, 32, 32)  # several tiles at the scan's own spacing, one and some padding at 3 mm
SEED = 28  # of the oblique grids: these are small

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Row:
    """What came of the cases that went one way.

    Attributes
    ----------
    form, grids : str
        What files were written, and what grids they had.
    exact : bool
        Whether the network had the scan's own spacing, so that every voxel must come back;
        otherwise it had another.
    cases : int
    differing : int
        Voxels that did not come back as they were, in the worst case.
    drift_mm, drift_voxels : float
        How far the centroid of a structure moved, in the worst case; ``drift_voxels`` along
        the axis of the scan on which it moved most.
    failures : list of str
        Cases that ended in an error, and which.
    """

    form: str
    grids: str
    exact: bool
    cases: int = 0
    differing: int = 0
    drift_mm: float = 0.0
    drift_voxels: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Exact: no voxel differs. Resampled: centroids stay within a tenth of a voxel."""
        if self.failures:
            return False
        if self.exact:
            return self.differing == 0 and self.drift_mm < EXACT_MM
        return self.drift_voxels < RESAMPLED_VOXELS

    def add(self, truth: LabelMap, found: LabelMap) -> None:
        """Compare a mask with what it should be, wherever and in whatever order it lies."""
        there = moved(found, truth.geometry).array
        self.differing = max(self.differing, int(np.count_nonzero(there != truth.array)))
        wanted, met = centroids_mm(truth), centroids_mm(found)
        if wanted.keys() != met.keys():
            words = f"{len(met)} of {len(wanted)} structures came back"
            raise OutputFailed("structures-lost", words)
        for value, place in wanted.items():
            drift = met[value] - place  # (3,) mm
            along = np.linalg.solve(truth.geometry.affine[:3, :3], drift)  # voxels
            self.drift_mm = max(self.drift_mm, float(np.linalg.norm(drift)))
            self.drift_voxels = max(self.drift_voxels, float(np.abs(along).max()))


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The rows of a self-test and the seconds that it took."""

    rows: tuple[Row, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every row passed."""
        return all(row.passed for row in self.rows)


def self_test(progress: Progress | None = None) -> SelfTest:
    """Write phantoms as scans, segment them with a network that knows the answer, and compare.

    Every step is that of ``medseg segment``: a file is read, prepared, cut into tiles,
    restored, written as NIfTI or DICOM SEG, and read back. The network gives out what it is
    given, so whatever comes back elsewhere was moved by medseg. About half a minute.

    Parameters
    ----------
    progress : callable, optional
        Called with the number of cases done and of all.
    """
    started = time.perf_counter()
    axes, oblique = axis_orientations(), oblique_grids(SEED)
    ways = [
        (Row("NIfTI", "axis orders", exact=True), axes),
        (Row("NIfTI", "axis orders", exact=False), axes),
        (Row("NIfTI", "oblique", exact=True), oblique),
        (Row("NIfTI", "oblique", exact=False), oblique),
        (Row("DICOM, SEG", "axis orders", exact=True), _coarse(axes)),
        (Row("DICOM, SEG", "oblique", exact=True), _coarse(oblique)),
    ]
    total = sum(len(grids) for _, grids in ways)
    done = 0
    for row, grids in ways:
        for grid in grids:
            _send(grid, row)
            done += 1
            if progress is not None:
                progress(done, total)
    return SelfTest(tuple(row for row, _ in ways), time.perf_counter() - started)


def _coarse(grids: Sequence[Geometry]) -> list[Geometry]:
    """Return grids of half as many voxels along each axis."""
    doubled = [(2 * i, 2 * j, 2 * k) for i, j, k in (grid.spacing for grid in grids)]
    return [rescaled(grid, spacing) for grid, spacing in zip(grids, doubled, strict=True)]


def _send(grid: Geometry, row: Row) -> None:
    """Send one phantom the whole way."""
    row.cases += 1
    truth = label_phantom(grid)
    own = axes_towards(grid, "RAS").of_geometry(grid).spacing
    try:
        with TemporaryDirectory(prefix="medseg-") as folder:
            scan = read(_written(row.form, Path(folder), truth))
            for mask in _masks(scan, Path(folder) / "out", own if row.exact else NETWORK_MM):
                row.add(truth, mask)
    except Exception as error:  # a broken library raises what it likes: that is the finding
        words = f"case {row.cases} ({grid.orientation}{', sheared' if grid.sheared else ''})"
        row.failures.append(f"{words}: {str(error) or type(error).__name__}")


def _written(form: str, folder: Path, truth: LabelMap) -> Path:
    """Write a phantom whose intensities are its labels; return where."""
    if form == "NIfTI":
        path = folder / "scan.nii.gz"
        write_nifti(path, truth.array, truth.geometry)
        return path
    path = folder / "series"
    path.mkdir()
    volume = Volume(truth.array.astype(np.float32), truth.geometry)
    for name, image in series_of(volume, SEED):
        _check_place(image.ImagePositionPatient, truth.geometry, int(image.InstanceNumber) - 1)
        image.save_as(path / name, enforce_file_format=True)
    return path


def _check_place(position: Sequence[float], grid: Geometry, k: int) -> None:
    """Check a slice by PS3.3 C.7.6.2.1.1 alone: writer and reader share their arithmetic."""
    x, y, z = grid.positions(np.array([0, 0, k])).tolist()
    apart = np.abs(np.subtract(np.asarray(position, float), (-x, -y, z))).max()
    if apart > EXACT_MM:
        raise OutputFailed("slice-misplaced", f"A slice was written {apart:.2f} mm off its place")


def _masks(scan: Volume, out: Path, spacing: Spacing) -> Iterator[LabelMap]:
    """Segment a scan, write the mask in each format, and yield what is read back."""
    if not set(np.unique(scan.array)) <= set(LABELS.values):
        raise InputRefused("intensities-changed", "The scan was read with other intensities")
    classes = scan.array[..., np.newaxis] == LABELS.values  # (I, J, K, classes)
    result = _oracle(spacing).predict(scan.moved(classes.astype(np.float32), scan.geometry))
    formats = ["nifti", "seg"] if scan.source.form == "dicom" else ["nifti"]
    paths, _ = write(result, out, formats)
    for path in paths.values():
        yield read_labels(path)


class _Identity:
    """An engine whose logits are its input: a channel for each class."""

    name, precision, device = "identity", "f32", "cpu"

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        return tiles


def _oracle(spacing: Spacing) -> Segmenter:
    """Return a segmenter that is told the answer, on RAS axes and voxels of a size in mm."""
    unchanged = Clip(low=0, high=1, mean=0, deviation=1)
    plan = Plan(
        spacing=spacing,
        channels=tuple(
            Channel(name=f"Class {n}", modality="", normalisation=unchanged)
            for n in range(LABELS.classes)
        ),
        patch=PATCH,
        network=Network(name="identity"),
        labels=LABELS,
    )
    nothing = Dataset(name="None", licence="None", attribution="None")
    card = Card(intended_use="The self-test", modality="Phantom", training_data=(nothing,))
    package = ModelPackage(Path(), "self-test", "1", plan, card, "", {}, {})
    return Segmenter(package, _Identity())
