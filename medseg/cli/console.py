"""What every command shares: where it prints, how it reports, how it fails."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medseg.errors import InputRefused, MedsegError, ModelRefused, PlanRefused

if TYPE_CHECKING:
    from rich.console import Console

REFUSED, MODEL, FAILED = 3, 4, 5


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints data as it is: no markup, no guessing of highlights."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, soft_wrap=False)


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def exit_status(error: Exception) -> int:
    """Return 3 for a refused input, 2 for a refused config, 4 for a model, else 5."""
    if isinstance(error, InputRefused):
        return REFUSED
    if isinstance(error, ModelRefused):
        return MODEL
    return 2 if isinstance(error, PlanRefused) else FAILED


def line_of(error: Exception) -> str:
    """Return the one line that a user gets to see of an error.

    The words of foreign exceptions may quote a header or a path, so only their kind is told.
    """
    if isinstance(error, MedsegError):
        return f"Error: {error} [{error.code}]"
    if isinstance(error, OSError):
        reason = (error.strerror or type(error).__name__).lower()
        return f"Error: The system says: {reason}. [system]"
    if isinstance(error, MemoryError):
        return "Error: There is not enough memory. Close other programs. [memory-short]"
    return (
        f"Error: medseg met something unforeseen ({type(error).__name__}). "
        "Set MEDSEG_TRACEBACK=1 to see where, and report it with `medseg doctor`. [unforeseen]"
    )


def cache_folder() -> Path:
    """Return where converted models are kept: ``MEDSEG_CACHE``, or the user's cache folder."""
    if told := os.environ.get("MEDSEG_CACHE"):
        return Path(told)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "medseg"


def is_terminal() -> bool:
    """Whether a person watches standard error: then bars move, otherwise lines are printed."""
    return sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
