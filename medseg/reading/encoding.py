"""How the numbers of an image are stored, and what makes them values in the scanner's units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medseg.dicom import require
from medseg.errors import InputRefused

PLAIN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}
"""Transfer syntaxes whose pixels lie in the file as in memory: little endian, not packed."""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Encoding:
    """The attributes of one image that stand between its stored numbers and its values.

    Attributes
    ----------
    allocated, stored : int
        Bits Allocated and Bits Stored.
    high : int
        High Bit, the place of the highest stored bit.
    signed : bool
        Pixel Representation.
    slope, intercept : float or None
        Of the rescale; None where absent, a slope of 0 included.
    padding : (int, int) or None
        Lowest and highest stored number that is padding.
    """

    allocated: int
    stored: int
    high: int
    signed: bool
    slope: float | None
    intercept: float | None
    padding: tuple[int, int] | None

    @property
    def plain(self) -> bool:
        """Whether these are bytes or words, with stored bits that lie in them."""
        return self.allocated in (8, 16) and 0 < self.stored <= self.high + 1 <= self.allocated

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers in a file of a ``PLAIN`` syntax."""
        return np.dtype(f"<{'i' if self.signed else 'u'}{self.allocated // 8}")

    def significant(self, numbers: np.ndarray) -> np.ndarray:
        """Return native numbers without the bits outside the stored ones; these may be overlays."""
        if self.stored == self.allocated:
            return numbers
        drop = self.allocated - self.stored
        shift = self.high + 1 - self.stored
        return np.asarray(np.right_shift(np.left_shift(numbers, drop - shift), drop))  # keeps sign

    def padded(self, numbers: np.ndarray) -> np.ndarray | None:
        """Return where stored numbers are padding, or None if nowhere."""
        if self.padding is None:
            return None
        low, high = self.padding
        padded = numbers == low if low == high else (numbers >= low) & (numbers <= high)
        return padded if padded.any() else None

    def rescale(self, numbers: np.ndarray, into: np.ndarray) -> None:
        """Put slope times number plus intercept into a float32 array.

        Raises
        ------
        InputRefused
            ``not-finite``: float32 cannot hold such values.
        """
        largest = abs(self.slope or 1) * 2.0**self.allocated + abs(self.intercept or 0)
        if largest > _LARGEST:
            raise InputRefused("not-finite", "A rescale slope or intercept makes values infinite",
                               do="Export the series again")  # fmt: skip
        into[...] = numbers
        if self.slope not in (None, 1):
            into *= np.float32(self.slope)
        if self.intercept:
            into += np.float32(self.intercept)


def encoding_of(image: require.Attributes) -> Encoding:
    """Return the encoding that an image's attributes, or those of a frame, tell."""
    allocated = require.whole(image, "BitsAllocated") or 0
    stored = require.whole(image, "BitsStored") or allocated
    high = require.whole(image, "HighBit")
    signed = require.whole(image, "PixelRepresentation") == 1
    return Encoding(
        allocated,
        stored,
        stored - 1 if high is None else high,
        signed,
        require.number(image, "RescaleSlope") or None,
        require.number(image, "RescaleIntercept"),
        _padding(image, allocated, signed),
    )


def _padding(image: require.Attributes, bits: int, signed: bool) -> tuple[int, int] | None:
    one = require.whole(image, "PixelPaddingValue")
    if one is None:
        return None
    other = require.whole(image, "PixelPaddingRangeLimit")
    ends = [_as_stored(end, bits, signed) for end in (one, one if other is None else other)]
    return min(ends), max(ends)


def _as_stored(value: int, bits: int, signed: bool) -> int:
    """Return a padding value as the pixels hold it: 63536 in signed data means -2000."""
    if signed and value >= 1 << (bits - 1):
        return value - (1 << bits)
    if not signed and value < 0:
        return value + (1 << bits)
    return value
