"""What became of the cases of a run, as a table for people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from medseg.batch import Outcome, Run
    from medseg.findings import Finding

_TOLD = (  # though no warnings
    "seg-needs-dicom", "seg-needs-images", "no-finding", "series-chosen", "codes-private",
    "mirrored",
)  # fmt: skip


def show_run(
    run: Run, out: Path, verb: str, record: str, heading: str, cell: Callable[[Outcome], str]
) -> None:
    """Print each case with its status and what ``cell`` says of it, or why it is not done.

    Warnings stand under the table. A run over one scan that failed is one clear line.
    """
    from rich.table import Table

    from medseg.cli.console import console

    if len(run.outcomes) == 1 and run.exit_status:
        click.echo(f"Error: {run.outcomes[0].why} [{run.outcomes[0].code}]", err=True)
        return
    terminal = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("case", "status", f"{heading}, or why not", "seconds"):
        table.add_column(
            column, overflow="fold", justify="right" if column == "seconds" else "left"
        )
    for outcome in run.outcomes:
        spent = f"{sum(outcome.seconds.values()):.1f}" if outcome.seconds else ""
        style = "bold red" if outcome.status in ("refused", "failed") else ""
        table.add_row(
            outcome.case, outcome.status, outcome.why or cell(outcome), spent, style=style
        )
    terminal.print(table)
    for outcome in run.outcomes:
        for finding in _worth_telling(outcome):
            style = "bold red" if finding.level == "warning" else ""
            terminal.print(f"{outcome.case}: {finding.level}: {finding.words}", style=style)
    done = run.count("done", "resumed")
    others = ", ".join(f"{run.count(status)} {status}" for status in
                       ("refused", "failed", "left out") if run.count(status))  # fmt: skip
    terminal.print(f"{done} {verb}{', ' + others if others else ''} in {run.seconds:.1f} s; "
                   f"results in {out}, what was done in {record}")  # fmt: skip


def _worth_telling(outcome: Outcome) -> list[Finding]:
    """Return the warnings of a case that was done, and what was left out or chosen."""
    return [
        finding
        for finding in outcome.findings
        if outcome.status in ("done", "resumed")
        and (finding.level == "warning" or finding.code in _TOLD)
    ]
