"""How a training tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int, str], None]
"""Called with a stage's name, what is done of it, the total, and a note."""


def silent(stage: str, done: int, total: int, note: str) -> None:
    """Report nothing: the progress of who does not ask for one."""
