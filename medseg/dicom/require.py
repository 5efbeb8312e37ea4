"""Values of a DICOM header, sound or None, and silence while pydicom reads them."""

from __future__ import annotations

import logging
import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, Protocol

_PLAIN = {"CS", "DS", "IS", "TM", "UI", "US"}  # ASCII, parted by backslashes; US two bytes
_PLAIN_IF_ASCII = {"LO", "SH"}  # in any character set, where no escape changes it


class Attributes(Protocol):
    """What has DICOM attributes by keyword or tag: a dataset, or one frame of it."""

    def get(self, key: Any, /) -> Any:
        """Return the value, or None."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the warnings and log lines of pydicom and nibabel back: they quote values."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "nibabel.global")]
    before = [(logger.propagate, logger.handlers[:]) for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.propagate, logger.handlers = False, [logging.NullHandler()]
            yield
        finally:
            for logger, (propagate, handlers) in zip(loggers, before, strict=True):
                logger.propagate, logger.handlers = propagate, handlers


def value_of(attributes: Attributes, keyword: str | int) -> Any:
    """Return a value or None; one that cannot be parsed counts as absent.

    Plain values of an unread dataset are taken from their bytes: pydicom's own conversion
    takes as long as reading the whole header.
    """
    try:
        if hasattr(attributes, "get_item"):
            raw: Any = attributes.get_item(_tag(keyword))
            if raw is None:
                return None
            if getattr(raw, "is_raw", False) and isinstance(raw.value, bytes) and _is_plain(raw):
                return _plain(raw)
        return attributes.get(keyword)
    except Exception:  # a damaged value raises whatever its parser happens to
        return None


@cache
def _tag(keyword: str | int) -> Any:
    from pydicom.tag import Tag

    return Tag(keyword)


def _is_plain(raw: Any) -> bool:
    if raw.VR in _PLAIN_IF_ASCII:
        return raw.value.isascii() and b"\x1b" not in raw.value
    return raw.VR in _PLAIN


def _plain(raw: Any) -> Any:
    if raw.VR == "US":
        order: Literal["little", "big"] = "little" if raw.is_little_endian else "big"
        return int.from_bytes(raw.value, order) if len(raw.value) == 2 else None
    many = raw.value.decode("ascii").rstrip(" \0").split("\\")
    return many if len(many) > 1 else many[0] or None


def text(attributes: Attributes, keyword: str) -> str:
    """Return a value as stripped text, empty when absent; the files of a series share it."""
    value = value_of(attributes, keyword)
    return "" if value is None else sys.intern(str(value).strip())


def texts(attributes: Attributes, keyword: str) -> tuple[str, ...]:
    """Return a value of one or many as stripped texts."""
    value = value_of(attributes, keyword)
    if value is None:
        return ()
    many = [value] if isinstance(value, str) else value
    return tuple(sys.intern(str(one).strip()) for one in many)


def number(attributes: Attributes, keyword: str) -> float | None:
    """Return a value as a finite float, or None."""
    values = numbers(attributes, keyword, 1)
    return values[0] if values else None


def whole(attributes: Attributes, keyword: str) -> int | None:
    """Return a value as an int, or None when it is absent or has a fraction."""
    value = number(attributes, keyword)
    return int(value) if value is not None and value == int(value) else None


def numbers(attributes: Attributes, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return exactly so many finite floats, or None."""
    value = value_of(attributes, keyword)
    try:
        many = [value] if count == 1 and isinstance(value, str | int | float) else list(value)
        found = tuple(float(one) for one in many)
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(map(math.isfinite, found)) else None
