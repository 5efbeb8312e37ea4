"""Pixels of a stack: decoded, padding set aside, rescaled, straight into one array."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medseg.dicom import require
from medseg.dicom.opening import is_damage, opened
from medseg.errors import InputRefused
from medseg.findings import Finding, Level
from medseg.reading.headers import Slice
from medseg.reading.wholeness import truncated

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
        ``file-unreadable``, ``file-changed``, ``pixels-undecodable``, ``file-truncated``,
        ``padding-only``.
    """
    first = slices[0]
    planes = _room_for((len(slices), first.rows, first.columns))  # (K, J, I)
    tally = _Tally()
    wanted: dict[Path, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for k, one in enumerate(slices):
        wanted[one.header.path][one.frame].append(k)  # several are the tiles of a mosaic
    with require.quiet():
        for path, frames in wanted.items():
            dataset = _opened(path, first)
            for frame, stored in _decoded(dataset, sorted(frames)):
                for k in frames[frame]:
                    _rescale(_cut_out(stored, slices[k]), dataset, frame, planes[k], tally)
    _check_rescale(len(slices), tally)
    _fill_padding(planes, first.header.modality, tally)
    return planes.transpose(2, 1, 0), _findings(first, len(slices), planes.size, tally)


def _room_for(shape: tuple[int, int, int]) -> np.ndarray:
    try:
        return np.empty(shape, np.float32)
    except MemoryError:
        size = 4 * shape[0] * shape[1] * shape[2] / 2**30
        raise InputRefused("too-large", f"The image of {size:.1f} GB does not fit into memory",
                           do="Use a machine with more memory") from None  # fmt: skip


def _opened(path: Path, like: Slice) -> Dataset:
    from pydicom.filereader import read_partial
    from pydicom.uid import UID

    try:
        with opened(path) as stream:
            dataset = read_partial(stream, _after_pixels(), force=True)
    except OSError as error:  # the file was there at the scan
        words = f"A file cannot be read any more: {error.strerror or 'it breaks off'}"
        raise InputRefused("file-unreadable", words,
                           do="Check the disk or the network share") from None  # fmt: skip
    except Exception as error:
        words = f"The header of an image is damaged ({type(error).__name__})"
        raise InputRefused("file-damaged", words,
                           do="Copy or export the file again") from None  # fmt: skip
    sizes = require.whole(dataset, "Rows"), require.whole(dataset, "Columns")
    if sizes != (like.header.rows, like.header.columns):
        raise InputRefused("file-changed", "A file was changed while the series was read",
                           do="Read it again when the export has ended")  # fmt: skip
    if not dataset.file_meta.get("TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = UID(like.header.syntax)
    return dataset


def _after_pixels() -> Callable[[int, str | None, int], bool]:
    """Return what tells pydicom to stop after Pixel Data: junk may follow it."""
    met = False

    def stop(tag: int, vr: str | None, length: int) -> bool:
        nonlocal met
        before, met = met, tag == _PIXEL_DATA
        return before

    return stop


def _decoded(dataset: Dataset, frames: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each wanted frame ``(J, I)`` as stored, one at a time."""
    from pydicom.pixels.utils import iter_pixels
    from pydicom.uid import RLELossless

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
        yield wanted, _significant(stored, dataset) if own_bits else stored


def _cut_out(stored: np.ndarray, one: Slice) -> np.ndarray:
    """Return the slice ``(J, I)`` of a frame: all of it, or its tile of a mosaic."""
    row, column = one.corner
    return stored[row : row + one.rows, column : column + one.columns]


def _significant(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return native values without the bits outside Bits Stored, which may hold overlays."""
    bits, allocated = dataset.BitsStored, dataset.BitsAllocated
    if bits == allocated:
        return stored
    shift = dataset.HighBit + 1 - bits if "HighBit" in dataset else 0
    drop = allocated - bits
    return np.asarray(np.right_shift(np.left_shift(stored, drop - shift), drop))  # keeps the sign


def _rescale(
    stored: np.ndarray, dataset: Dataset, frame: int, into: np.ndarray, tally: _Tally
) -> None:
    from medseg.reading.multiframe import FrameView, has_groups

    grouped = has_groups(dataset)
    view: require.Attributes = FrameView(dataset, frame) if grouped else dataset
    padded = _padding(stored, dataset)
    if not grouped and "ModalityLUTSequence" in dataset:
        into[...] = _looked_up(stored, dataset)
        tally.lut = True
    else:
        slope = require.number(view, "RescaleSlope")
        intercept = require.number(view, "RescaleIntercept")
        tally.no_slope += not slope
        tally.no_intercept += intercept is None
        into[...] = stored
        into *= np.float32(slope or 1)
        into += np.float32(intercept or 0)
    if not np.isfinite(into).all():
        raise InputRefused("not-finite", "A rescale slope or intercept makes values infinite",
                           do="Export the series again")  # fmt: skip
    if padded is not None:
        into[padded] = np.nan
        tally.padding += int(padded.sum())


def _looked_up(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    from pydicom.pixels.processing import apply_modality_lut

    try:
        return apply_modality_lut(stored, dataset)
    except Exception:  # of whatever kind: a table has three numbers and its data, or is none
        raise InputRefused("pixels-undecodable", "The Modality LUT of an image is damaged",
                           do="Export the series again") from None  # fmt: skip


def _padding(stored: np.ndarray, dataset: Dataset) -> np.ndarray | None:
    """Return where stored values are Pixel Padding Value, or in the range to its limit."""
    one = require.whole(dataset, "PixelPaddingValue")
    if one is None:
        return None
    other = require.whole(dataset, "PixelPaddingRangeLimit")
    ends = [_as_stored(value, dataset) for value in (one, one if other is None else other)]
    padded = (stored >= min(ends)) & (stored <= max(ends))
    return padded if padded.any() else None


def _as_stored(value: int, dataset: Dataset) -> int:
    """Return a padding value as the pixels hold it: 63536 in signed data means -2000."""
    bits = int(dataset.BitsAllocated)
    if dataset.PixelRepresentation == 1 and value >= 1 << (bits - 1):
        return value - (1 << bits)
    if dataset.PixelRepresentation == 0 and value < 0:
        return value + (1 << bits)
    return value


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
