"""Progress on standard error: a bar for people, a line now and then for logs."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

import click

from medseg.cli.console import console, is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_SECONDS = 30.0  # between two lines in a log; an overnight run stays readable
_MEGABYTE = 1_000_000  # bytes


class Report:
    """Shows how far a job is, with the time that is left.

    Used as a context manager; :meth:`show` may be called as often as there is news.
    """

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._started = time.monotonic()
        self._last = self._started

    def __enter__(self) -> Report:
        if is_terminal():
            from rich import progress

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(bar_width=30),
                progress.MofNCompleteColumn(),
                progress.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                progress.TextColumn("{task.fields[note]}", markup=False),
                console=console(stderr=True),
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, what: str, done: float, total: float, note: str = "") -> None:
        """Say that ``done`` of ``total`` are done of something."""
        if self._bar is None:
            self._line(what, done, total, note)
        elif self._task is None:
            self._task = self._bar.add_task(what, total=total, note=note)
            self._bar.update(self._task, completed=done)
        else:
            described = self._bar.tasks[0].description
            if described != what:
                self._bar.reset(self._task, description=what)
            self._bar.update(self._task, completed=done, total=total, description=what, note=note)

    def unpacking(self, done: int, total: int) -> None:
        """Say how many bytes of an archive are unpacked, in megabytes."""
        self.show("Unpacking", done // _MEGABYTE, total // _MEGABYTE, "MB")

    def _line(self, what: str, done: float, total: float, note: str) -> None:
        now = time.monotonic()
        if now - self._last < LINE_SECONDS:
            return
        self._last = now
        share = done / total if total else 0
        left = (now - self._started) * (1 - share) / share if share else 0
        words = f"{what} {done:g}/{total:g}" + (f", {note}" if note else "")
        click.echo(f"{words}, about {left / 60:.0f} min left" if left else words, err=True)
