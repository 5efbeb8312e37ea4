"""New unique identifiers under 2.25, the root that needs no registration (PS3.5 B.2)."""

from __future__ import annotations

import hashlib
import uuid


def new_uid() -> str:
    """Return a UID that nobody has had before."""
    return _under_2_25(uuid.uuid4())


def uid_from(*entropy: str) -> str:
    """Return the UID that belongs to these texts: the same ones give the same UID, anywhere.

    Examples
    --------
    >>> uid_from("1.2.3", "Liver") == uid_from("1.2.3", "Liver") != uid_from("1.2.3Liver")
    True
    """
    told_apart = "\0".join(entropy).encode()
    return _under_2_25(uuid.UUID(bytes=hashlib.sha256(told_apart).digest()[:16], version=5))


def _under_2_25(number: uuid.UUID) -> str:
    return f"2.25.{number.int}"  # at most 44 of the 64 characters, no leading zero
