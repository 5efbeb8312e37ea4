"""``medseg worksheet``: a page to judge results on, and the export of what was accepted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from medseg.review import Applied, Worksheet

EPILOG = """\b
Examples:
  medseg worksheet results
  medseg worksheet results --apply decisions.json --to accepted

\b
The first writes OUT/worksheet.html: open it in a browser, decide by keyboard (?
shows the keys) and save decisions.json. The second copies the accepted masks to
DIR/<case>/ and lists the rest in DIR/worksheet.json. See docs/worksheet.md.
"""


@click.command(epilog=EPILOG)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--apply", "decisions", type=click.Path(path_type=Path), metavar="FILE",
              help="The decisions.json that the page saved.")  # fmt: skip
@click.option("--to", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder for the accepted masks; with --apply.")  # fmt: skip
@click.option("--show-phi", is_flag=True,
              help="Show patient id, study date and description on the page.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an earlier page or export.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def command(
    out: Path, decisions: Path | None, to: Path | None, show_phi: bool, overwrite: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Make a page to judge the results in OUT on, or apply what was decided there.

    OUT is what medseg segment wrote to. Cases stand in the order of doubt: empty masks, masks
    at the border of the scan, unusual volumes, low confidence, warnings.
    """
    from medseg.cli.progress import Report
    from medseg.review import apply, worksheet

    if (decisions is None) != (to is None):
        raise click.UsageError("--apply and --to go together.")
    if decisions is not None and to is not None:
        if show_phi:
            raise click.UsageError("--show-phi is for the page, not for --apply.")
        applied = apply(out, decisions, to, overwrite=overwrite)
        _show_applied(applied, to, as_json)
        return applied.exit_status
    with Report() as report:

        def progress(done: int, total: int, case: str) -> None:
            report.show("Drawing", done, total, case)

        page = worksheet(out, show_phi=show_phi, overwrite=overwrite, progress=progress)
    _show_page(page, as_json)
    return page.exit_status


def _show_page(page: Worksheet, as_json: bool) -> None:
    """Print the doubtful cases and where the page is."""
    from medseg.cli.console import console, print_json

    if as_json:
        print_json({
            "status": page.exit_status,
            "page": str(page.path),
            "cases": [{"case": entry.case.name, "doubts": [doubt.words for doubt in entry.doubts]}
                      for entry in page.entries],
            "missing": [{"case": one.case, "status": one.status, "why": one.why}
                        for one in page.missing],
        })  # fmt: skip
        return
    terminal = console()
    doubtful = [entry for entry in page.entries if entry.doubts]
    for entry in doubtful:
        terminal.print(f"{entry.case.name}: {'; '.join(one.words for one in entry.doubts)}")
    for one in page.missing:
        style = "bold red" if one.status == "damaged" else ""
        terminal.print(f"{one.case}: {one.status}: {one.why}", style=style)
    size = page.path.stat().st_size / 1e6
    terminal.print(f"{len(page.entries)} cases, {len(doubtful)} of them doubtful; "
                   f"open {page.path} ({size:.1f} MB) in a browser")  # fmt: skip


def _show_applied(applied: Applied, to: Path, as_json: bool) -> None:
    """Print what became of each case that was not accepted, and how many were."""
    from dataclasses import asdict

    from medseg.cli.console import console, print_json

    if as_json:
        print_json({"status": applied.exit_status, "to": str(to), "reader": applied.reader,
                    "cases": [asdict(one) for one in applied.judged]})  # fmt: skip
        return
    terminal = console()
    for one in applied.judged:
        if one.fate != "accepted":
            reason = f": {one.reason}" if one.reason else ""
            style = "bold red" if one.fate == "refused" else ""
            terminal.print(f"{one.case}: {one.fate}{reason}", style=style)
    counts = ", ".join(f"{count} {fate}" for fate, count in applied.counts.items() if count)
    terminal.print(f"{counts}; accepted masks in {to}, every decision in worksheet.json")
