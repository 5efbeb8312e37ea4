"""``medseg scan``: what lies under a path, and what can be segmented."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from medseg.reading import Found, Series

EPILOG = """\b
Examples:
  medseg scan STUDY
  medseg scan study.zip
  medseg scan /media/cdrom/DICOMDIR
  medseg scan ARCHIVE --series "modality=CT,orientation=axial,thickness<=3"
  medseg scan ARCHIVE --json > series.json

\b
RULE is key=value,... with modality, description (shell pattern), orientation
(axial, coronal, sagittal), number, thickness (mm, also <= and >=) and case.
Only headers are read. Each finding has a code, see docs/reference/findings.md.
"""

_LISTED = "listed"  # in place of a level: a report or a localizer is no fault of its study
_PART = 8  # characters of a body part in the table; the whole is in the JSON


@click.command(epilog=EPILOG)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("-s", "--series", "--rules", "rule", metavar="RULE",
              help="Only series that meet this rule.")  # fmt: skip
@click.option("--show-phi", is_flag=True,
              help="Show descriptions, UIDs and folders: they may name the patient.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(path: Path, rule: str | None, show_phi: bool, as_json: bool) -> int:
    """List every series under PATH: what it is, what is odd, whether it can be segmented.

    PATH is a file, or a folder that is searched with all below it; a zip or a tar (plain, gz,
    bz2, xz), unpacked into a temporary folder and removed at the end; or a DICOMDIR, of which
    the files that it names are listed. Patients stay unnamed: a case is a hash of its study and
    the series number.
    """
    from medseg.cli.console import print_json
    from medseg.cli.progress import Report
    from medseg.reading import parse_rule, scan, select

    if rule is not None:
        parse_rule(rule)  # a typing error should not cost a walk
    with Report() as report:
        found = scan(
            path,
            progress=lambda done, total: report.show("Scanning", done, total),
            unpacking=report.unpacking,
        )
    series = found if rule is None else select(found, rule)
    if as_json:
        print_json({"status": 0, "series": [_as_json(one, found.root, show_phi) for one in series],
                    "skipped_files": found.skipped})  # fmt: skip
    else:
        _show(series, found, show_phi)
    return 0


def _as_json(series: Series, root: Path, show_phi: bool) -> dict[str, Any]:
    geometry, refusal = series.geometry, series.refusal()
    told: dict[str, Any] = {
        "case": series.case,
        "form": series.form,
        "modality": series.modality,
        "number": series.number,
        "body_part": series.body_part,
        "files": len(series.files),
        "images": series.images,
        "shape": geometry.shape if geometry else None,
        "spacing_mm": geometry.spacing if geometry else None,
        "orientation": geometry.orientation if geometry else None,
        "affine": geometry.affine.tolist() if geometry else None,
        "thickness_mm": series.thickness,
        "usable": series.usable,
        "refusal": {"code": refusal.code, "words": str(refusal)} if refusal else None,
        "findings": [
            {"level": one.level, "code": one.code, "words": one.words} for one in series.findings
        ],
    }
    if show_phi:
        told |= {"description": series.description, "series_uid": series.uid,
                 "folder": _folder(series, root)}  # fmt: skip
    return told


def _folder(series: Series, root: Path) -> str:
    folder = series.files[0].parent
    return str(folder.relative_to(root)) if folder.is_relative_to(root) else str(folder)


def _show(series: list[Series], found: Found, show_phi: bool) -> None:
    """Print a row a series, the findings of each, and the count of what is no image."""
    from rich.table import Table

    from medseg.cli.console import console

    terminal = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("case", "kind", "part", "images", "grid, or why there is none"):
        table.add_column(name, justify="right" if name == "images" else "left", overflow="fold")
    if show_phi:
        table.add_column("description, folder", overflow="fold")
    for one in series:
        row = [one.case, one.modality or one.form, one.body_part.lower()[:_PART], str(one.images)]
        row.append(_grid(one))
        if show_phi:
            row.append(f"{one.description}, {_folder(one, found.root)}")
        table.add_row(*row, style="" if one.usable or not one.scan else "bold red")
    terminal.print(table)
    _show_findings(series)
    usable = sum(one.usable for one in series)
    terminal.print(f"{len(series)} series, {usable} of them readable")
    if found.skipped:
        passed = ", ".join(f"{count} {reason}" for reason, count in sorted(found.skipped.items()))
        terminal.print(f"Passed over: {passed}")


def _grid(series: Series) -> str:
    if refusal := series.refusal():
        return refusal.code
    assert series.geometry is not None
    voxels, sizes = series.geometry.shape, series.geometry.spacing
    return (f"{'x'.join(map(str, voxels))}, {'x'.join(f'{size:.3g}' for size in sizes)} mm, "
            f"{series.geometry.orientation}")  # fmt: skip


def _show_findings(series: list[Series]) -> None:
    """Print each finding once, with the cases it was met in."""
    from rich.table import Table

    from medseg.cli.console import console

    told: dict[tuple[str, str, str], list[str]] = {}
    for one in series:
        for finding in one.findings:
            level = finding.level if one.scan or finding.code.startswith("file-") else _LISTED
            told.setdefault((level, finding.code, finding.words), []).append(one.case)
    if not told:
        return
    terminal = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("finding", "code", "what was found"):
        table.add_column(name, overflow="fold")
    table.add_column("cases", overflow="fold", justify="right")
    for (level, code, words), cases in sorted(told.items(), key=_gravest_first):
        where = cases[0] if len(cases) == 1 else str(len(cases))
        table.add_row(level, code, words, where, style="bold red" if level == "error" else "")
    terminal.print()
    terminal.print(table)
    terminal.print()


def _gravest_first(told: tuple[tuple[str, str, str], list[str]]) -> tuple[int, str]:
    (level, code, _), _ = told
    return (("error", "warning", "info", _LISTED).index(level), code)
