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
        self._last = time.monotonic()
        self._stage = ""
        self._began = (self._last, 0.0)  # when the stage began, and what was done of it then

    def __enter__(self) -> Report:
        if is_terminal():
            from rich import progress

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(bar_width=30),
                progress.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                progress.MofNCompleteColumn(),  # the note beside it begins with its unit
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
        if what != self._stage:  # an earlier stage, or what a resumed job found done, is no pace
            self._stage, self._began = what, (now, done)
        if now - self._last < LINE_SECONDS:
            return
        self._last = now
        began, before = self._began
        left = (now - began) * (total - done) / (done - before) if done > before else 0
        words = f"{what} {done:g}/{total:g} {note}".rstrip()
        click.echo(f"{words}, about {left / 60:.0f} min left" if left else words, err=True)
