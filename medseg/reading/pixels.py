"""Pixels of a stack: decoded, padding set aside, rescaled, straight into one array."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medseg.dicom import require
from medseg.dicom.opening import is_damage, opened
from medseg.errors import InputRefused
from medseg.findings import Finding, Level
from medseg.reading.encoding import Encoding, encoding_of
from medseg.reading.headers import Header, Slice, stamp_of
from medseg.reading.wholeness import pixel_length, truncated
from medseg.silence import silence

if TYPE_CHECKING:
    from pydicom import Dataset

_PIXEL_DATA = 0x7FE00010
AIR_HU = -1024.0  # what padding outside the field of view of a CT becomes


@dataclass(slots=True)
class _Tally:
    """What was met on the way, told once for the whole volume."""

    padding: int = 0
    no_slope: int = 0
    no_intercept: int = 0
    lut: bool = False


def read_pixels(slices: Sequence[Slice]) -> tuple[np.ndarray, list[Finding]]:
    """Return the values of a stack as a float32 array ``(I, J, K)`` and what was odd.

    In the scanner's units: Rescale Slope and Intercept, or the Modality LUT, of each slice.
    Padding becomes -1024 HU in CT and the smallest true value elsewhere. No window, no
    inversion of MONOCHROME1.

    Raises
    ------
    InputRefused
        ``file-unreadable``, ``file-changed``, ``file-damaged``, ``file-truncated``,
        ``pixels-undecodable``, ``padding-only``, ``series-mixed``, ``not-finite``,
        ``too-large``.
    """
    first = slices[0]
    planes = _room_for((len(slices), first.rows, first.columns))  # (K, J, I)
    tally = _Tally()
    with require.quiet():
        for k, stored, encoding in _stored(slices):
            _fill(planes[k], stored, encoding, tally)
    _check_rescale(len(slices), tally)
    _fill_padding(planes, first.header.modality, tally)
    return planes.transpose(2, 1, 0), _findings(first, len(slices), planes.size, tally)


def _stored(slices: Sequence[Slice]) -> Iterator[tuple[int, np.ndarray, Encoding | None]]:
    """Yield each slice's number along k, its numbers ``(J, I)`` and what makes them values.

    None in place of an encoding: these are values already, out of a Modality LUT.
    """
    wanted: dict[Path, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for k, one in enumerate(slices):
        wanted[one.header.path][one.frame].append(k)  # several are the tiles of a mosaic
    for path, frames in wanted.items():
        header = slices[next(iter(frames.values()))[0]].header
        images: Iterable[tuple[int, np.ndarray, Encoding | None]]
        if header.encoding is not None:
            images = [(0, _plain(header, header.encoding), header.encoding)]
        else:
            images = _decoded(_opened(path, header), sorted(frames))
        for frame, stored, encoding in images:
            for k in frames[frame]:
                yield k, _cut_out(stored, slices[k]), encoding


def _plain(header: Header, encoding: Encoding) -> np.ndarray:
    """Return the numbers ``(J, I)`` of a plain image; its header is not parsed again."""
    count = header.rows * header.columns
    with _still_there(), header.path.open("rb") as stream:
        unchanged = stamp_of(stream) == header.stamp
        if not unchanged or pixel_length(stream, header.pixels_at, header.syntax)[0] is None:
            raise _changed()
        numbers = np.fromfile(stream, encoding.dtype, count)
    if numbers.size < count:
        raise _changed()
    return encoding.significant(numbers.reshape(header.rows, header.columns))


@contextmanager
def _still_there() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # the file was there at the scan
        words = f"A file cannot be read any more: {error.strerror or 'it breaks off'}"
        raise InputRefused("file-unreadable", words,
                           do="Check the disk or the network share") from None  # fmt: skip


def _changed() -> InputRefused:
    return InputRefused("file-changed", "A file was changed while the series was read",
                        do="Read it again when the export has ended")  # fmt: skip


def _room_for(shape: tuple[int, int, int]) -> np.ndarray:
    try:
        return np.empty(shape, np.float32)
    except MemoryError:
        size = 4 * shape[0] * shape[1] * shape[2] / 2**30
        raise InputRefused("too-large", f"The image of {size:.1f} GB does not fit into memory",
                           do="Use a machine with more memory") from None  # fmt: skip


def _opened(path: Path, header: Header) -> Dataset:
    from pydicom.filereader import read_partial
    from pydicom.uid import UID

    try:
        with _still_there(), opened(path) as stream:
            dataset = read_partial(stream, _after_pixels(), force=True)
    except InputRefused:
        raise
    except Exception as error:
        words = f"The header of an image is damaged ({type(error).__name__})"
        raise InputRefused("file-damaged", words,
                           do="Copy or export the file again") from None  # fmt: skip
    sizes = require.whole(dataset, "Rows"), require.whole(dataset, "Columns")
    if sizes != (header.rows, header.columns):
        raise _changed()
    if not dataset.file_meta.get("TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = UID(header.syntax)
    return dataset


def _after_pixels() -> Callable[[int, str | None, int], bool]:
    """Return what tells pydicom to stop after Pixel Data: junk may follow it."""
    met = False

    def stop(tag: int, vr: str | None, length: int) -> bool:
        nonlocal met
        before, met = met, tag == _PIXEL_DATA
        return before

    return stop


def _decoded(
    dataset: Dataset, frames: Sequence[int]
) -> Iterator[tuple[int, np.ndarray, Encoding | None]]:
    """Yield each wanted frame ``(J, I)`` as stored, one at a time, and its encoding."""
    from pydicom.pixels.utils import iter_pixels
    from pydicom.uid import RLELossless

    from medseg.reading.multiframe import FrameView, has_groups

    grouped = has_groups(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID
    own_bits = syntax == RLELossless or not syntax.is_compressed  # both hold words as they are
    images = iter_pixels(
        dataset,
        indices=frames,
        raw=True,
        correct_unused_bits=not own_bits,  # pydicom's way takes no notice of High Bit
    )
    for wanted in frames:
        try:
            with silence():  # decoders in Rust print where they broke down
                stored = next(images)
        except BaseException as error:  # decoders of six packages raise what they like
            if not is_damage(error):
                raise
            if "less than expected" in str(error) or "end of" in str(error):
                raise truncated("its pixel data end too early") from None
            raise InputRefused(
                "pixels-undecodable",
                f"The pixel data of an image cannot be decoded ({type(error).__name__})",
                do="Copy or export the series again, uncompressed if that is possible",
            ) from None
        encoding = encoding_of(FrameView(dataset, wanted) if grouped else dataset)
        numbers = encoding.significant(stored) if own_bits else stored
        if not grouped and "ModalityLUTSequence" in dataset:
            yield wanted, _looked_up(numbers, dataset, encoding), None
        else:
            yield wanted, numbers, encoding


def _cut_out(stored: np.ndarray, one: Slice) -> np.ndarray:
    """Return the slice ``(J, I)`` of a frame: all of it, or its tile of a mosaic."""
    row, column = one.corner
    return stored[row : row + one.rows, column : column + one.columns]


def _looked_up(numbers: np.ndarray, dataset: Dataset, encoding: Encoding) -> np.ndarray:
    """Return float32 values by the Modality LUT, NaN where the numbers are padding."""
    from pydicom.pixels.processing import apply_modality_lut

    try:
        values = np.asarray(apply_modality_lut(numbers, dataset), np.float32)
    except Exception:  # of whatever kind: a table has three numbers and its data, or is none
        raise InputRefused("pixels-undecodable", "The Modality LUT of an image is damaged",
                           do="Export the series again") from None  # fmt: skip
    if (padded := encoding.padded(numbers)) is not None:
        values[padded] = np.nan
    return values


def _fill(plane: np.ndarray, stored: np.ndarray, encoding: Encoding | None, tally: _Tally) -> None:
    """Put values into a plane ``(J, I)``, NaN where there is padding."""
    if encoding is None:
        plane[...] = stored
        tally.lut = True
        tally.padding += int(np.count_nonzero(np.isnan(plane)))
        return
    tally.no_slope += encoding.slope is None
    tally.no_intercept += encoding.intercept is None
    encoding.rescale(stored, plane)
    if (padded := encoding.padded(stored)) is not None:
        plane[padded] = np.nan
        tally.padding += int(np.count_nonzero(padded))


def _check_rescale(images: int, tally: _Tally) -> None:
    """Refuse values of which some are rescaled and some cannot be: they have no one unit."""
    for what, missing in (("slope", tally.no_slope), ("intercept", tally.no_intercept)):
        if 0 < missing < images:
            raise InputRefused(
                "series-mixed",
                f"{missing} of {images} images give no rescale {what}, the others do",
                do="Export the series again; its values have no common unit",
            )


def _fill_padding(planes: np.ndarray, modality: str, tally: _Tally) -> None:
    if not tally.padding:
        return
    if tally.padding == planes.size:
        raise InputRefused("padding-only", "Every pixel of the series is padding",
                           do="Export the series again")  # fmt: skip
    fill = AIR_HU if modality == "CT" else float(np.nanmin(planes))
    planes[np.isnan(planes)] = fill


def _findings(first: Slice, images: int, size: int, tally: _Tally) -> list[Finding]:
    found = []
    if tally.padding:
        share = 100 * tally.padding / size
        words = f"{tally.padding} voxels ({share:.1f} %) are padding and were set to background"
        found.append(Finding("info", "padding-replaced", words))
    if tally.no_slope:
        words = f"{tally.no_slope} of {images} images give no rescale slope; 1 is taken"
        if first.header.modality == "CT":
            words = f"{words}: values may not be HU"
        level: Level = "warning" if first.header.modality == "CT" else "info"
        found.append(Finding(level, "rescale-missing", words))
    if tally.lut:
        found.append(Finding("info", "modality-lut", "Values come from a Modality LUT"))
    return found
