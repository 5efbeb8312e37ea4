"""What is odd about an input but told rather than refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation that travels with the data and ends in ``run.json``.

    Attributes
    ----------
    level : {"error", "warning", "info"}
        An error says why something was not done, a warning that a result may be wrong.
    code : str
        Stable, as in :class:`medseg.errors.MedsegError`.
    words : str
        What was seen, with the numbers and without patient data.
    """

    level: Level
    code: str
    words: str

    def __str__(self) -> str:
        return f"{self.level}: {self.words} [{self.code}]"
