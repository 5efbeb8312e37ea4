"""``medseg doctor``: what this installation is made of, and whether it does what it should."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from medseg.doctor.checks import Check
    from medseg.doctor.self_test import SelfTest

STYLES = {"ok": "green", "info": "cyan", "warning": "yellow", "error": "bold red"}

EPILOG = """\b
Examples:
  medseg doctor
  medseg doctor --self-test
  medseg doctor --json > doctor.json

\b
Ends with 0, or with 5 when a check found an error or the self-test failed.
Nothing is sent anywhere. Add the output to a report of a problem.
"""


@click.command(epilog=EPILOG)
@click.option("--self-test", "with_test", is_flag=True,
              help="Send phantoms of every orientation from file to mask and compare.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def command(with_test: bool, as_json: bool) -> int:
    """Check this installation, and that nothing flips or drifts."""
    from medseg.cli.console import FAILED, cache_folder, print_json
    from medseg.cli.progress import Report
    from medseg.doctor.checks import examine

    with Report() as report:
        checks = examine(cache_folder(), lambda done, total: report.show("Checking", done, total))
    tested = _tested() if with_test else None
    sound = all(check.level != "error" for check in checks) and (not tested or tested.passed)
    status = 0 if sound else FAILED
    if as_json:
        print_json({"status": status, "checks": [asdict(check) for check in checks],
                    "self_test": _as_json(tested) if tested else None})  # fmt: skip
        return status
    _show_checks(checks)
    if tested:
        _show_test(tested)
    return status


def _tested() -> SelfTest:
    from medseg.cli.progress import Report
    from medseg.doctor.self_test import self_test

    with Report() as report:
        return self_test(lambda done, total: report.show("Self-test", done, total))


def _as_json(tested: SelfTest) -> dict[str, Any]:
    rows = [{**asdict(row), "passed": row.passed} for row in tested.rows]
    return {"passed": tested.passed, "seconds": round(tested.seconds, 1), "rows": rows}


def _show_checks(checks: list[Check]) -> None:
    """Print a line for each check, how each transfer syntax is decoded, and the verdict."""
    from rich.table import Table
    from rich.text import Text

    from medseg.cli.console import console

    terminal = console()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        table.add_row(Text(check.level, STYLES[check.level]), check.name, check.words)
        if check.do:
            table.add_row("", "", Text(f"→ {check.do}", "italic"))
    terminal.print(table)
    terminal.print()
    syntaxes = next((check.details for check in checks if check.name == "Decoders"), {})
    if syntaxes:
        _show_syntaxes(syntaxes)
    found = {level: sum(check.level == level for check in checks) for level in STYLES}
    counted = [f"{found[level]} {level}{'s' * (found[level] > 1)}"
               for level in ("error", "warning") if found[level]]  # fmt: skip
    style = STYLES["error" if found["error"] else "warning" if found["warning"] else "ok"]
    terminal.print(", ".join(counted) or "All is well", style=style)


def _show_syntaxes(syntaxes: dict[str, dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from medseg.cli.console import console

    terminal = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("transfer syntax", "UID", "decoded by"):
        table.add_column(column, overflow="fold")
    for uid, one in syntaxes.items():
        limit = f" ({one['limit']})" if one["limit"] else ""
        plugins = ", ".join(one["plugins"])
        how = Text(plugins + limit) if plugins else Text("nothing", STYLES["warning"])
        table.add_row(one["name"], uid, how)
    terminal.print(table)
    terminal.print()


def _show_test(tested: SelfTest) -> None:
    """Print a row for each way that phantoms went, the cases that failed, and the verdict."""
    from rich.table import Table
    from rich.text import Text

    from medseg.cli.console import console

    terminal = console()
    table = Table(box=None, pad_edge=False, header_style="bold",
                  title="Self-test: voxels that differ and drift of centroids, in the worst case",
                  title_justify="left", title_style="bold")  # fmt: skip
    for column in ("", "files", "grids", "spacing"):
        table.add_column(column, overflow="fold")
    for column in ("cases", "differing", "drift mm", "(voxels)"):
        table.add_column(column, justify="right")
    for row in tested.rows:
        level = "ok" if row.passed else "error"
        table.add_row(
            Text("ok" if row.passed else "FAILED", STYLES[level]), row.form, row.grids,
            "own" if row.exact else "resampled", str(row.cases), str(row.differing),
            f"{row.drift_mm:.4f}", f"{row.drift_voxels:.4f}",
        )  # fmt: skip
    terminal.print()
    terminal.print(table)
    for row in tested.rows:
        for failure in row.failures[:3]:
            terminal.print(f"{row.form}, {row.grids}: {failure}", style=STYLES["error"])
        if len(row.failures) > 3:
            terminal.print(f"{row.form}, {row.grids}: and {len(row.failures) - 3} more",
                           style=STYLES["error"])  # fmt: skip
    verdict = (
        "passed: with the scan's own spacing every voxel comes back where it was, and resampling "
        "moves no structure by a tenth of a voxel"
        if tested.passed
        else "FAILED"
    )
    terminal.print(f"\nSelf-test {verdict} ({tested.seconds:.1f} s)",
                   style=STYLES["ok" if tested.passed else "error"])  # fmt: skip
