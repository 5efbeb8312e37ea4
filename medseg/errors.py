"""What medseg refuses, and what to do about it."""

from __future__ import annotations


class MedsegError(Exception):
    """Something was refused or failed; says what was found and what to do.

    Parameters
    ----------
    code : str
        Stable, lower case, words joined by hyphens: ``"slices-missing"``. Scripts match on it.
    found : str
        One sentence with the numbers, without patient data and without a full stop.
    do : str
        What the user can do about it, likewise.
    """

    def __init__(self, code: str, found: str, *, do: str = "") -> None:
        super().__init__(code, found, do)
        self.code = code
        self.found = found
        self.do = do

    def __str__(self) -> str:
        return " ".join(_ended(words) for words in (self.found, self.do) if words)


def _ended(words: str) -> str:
    return words if words.endswith("?") else f"{words}."


class InputRefused(MedsegError):
    """A scan or a label file cannot be used as it is."""


class GeometryRefused(InputRefused):
    """A grid is not one: not invertible, not finite, not matching."""


class PlanRefused(MedsegError):
    """A plan or a configuration asks for something impossible."""


class ModelRefused(MedsegError):
    """A model package is damaged, foreign or does not fit."""


class EngineFailed(MedsegError):
    """Computing failed although input and model were accepted."""


class OutputFailed(MedsegError):
    """A result could not be written, or did not read back as it was written."""
