"""Names that may be printed in place of those that may not."""

from __future__ import annotations

import hashlib
import re

CASE_DIGITS = 8  # of the study's hash: one clash in 65,000 studies is likely at 4 billion
VOLUME_DIGITS = 4  # tells the few volumes of one series number apart
LONGEST_NAME = 100  # characters of a folder name; file systems end at 255 bytes


def digest(text: str, digits: int) -> str:
    """Return the first hex digits of the SHA-256 of a UID or path."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:digits]


def case_name(study_uid: str, number: int | None) -> str:
    """Return the pseudonym of a series: hash of its study, then its number if it has one.

    Examples
    --------
    >>> case_name("1.2.3", 7)
    'c47f5b18-007'
    """
    name = digest(study_uid, CASE_DIGITS)
    return name if number is None else f"{name}-{number:03d}"


def folder_name(text: str) -> str:
    """Return a text with all but letters, digits, dot, dash and underscore made ``_``.

    Examples
    --------
    >>> folder_name("liver 01/left:a"), folder_name("..")
    ('liver_01_left_a', 'case')
    """
    return re.sub(r"[^\w.-]", "_", text).strip(".")[:LONGEST_NAME] or "case"
