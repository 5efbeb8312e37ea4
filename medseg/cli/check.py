"""``medseg check``: all that is odd about a data set, in one report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from medseg.datasets.check import Remark, Report

EPILOG = """\b
Examples:
  medseg check DATASET
  medseg check DATASET --patient '^([^_]+)_' --out report.html
  medseg check studies.yaml --json
  medseg check images.npz

\b
DATASET is a folder in MSD or nnU-Net raw layout, a manifest (.csv, .yaml), or a
folder of DICOM studies with SEG or RTSTRUCT: see docs/datasets.md. Or labelled
images (an .npz, a CSV with case, image and label, a folder for each class): see
docs/classification.md. Exit status: 0 nothing worse than warnings, 3 errors.
"""

_SHOWN = 3  # cases of a finding in the table; all of them are in the JSON and on the page
_STYLES = {"error": "bold red", "warning": "yellow", "info": ""}


@click.command(epilog=EPILOG)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--patient", metavar="PATTERN",
              help="Regular expression that finds the patient in a case's name.")  # fmt: skip
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="PAGE",
              help="Write the report here too, as .html; in a folder as check.html.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), help="Cases at a time; the cores when left out.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(
    dataset: Path, patient: str | None, out: Path | None, workers: int | None, as_json: bool
) -> int:
    """Read every case of DATASET and report all that is odd, and what to do about it.

    Grids, label values, NaN, empty labels, one image twice or nearly, one patient on both sides
    of a split, spacings and labels unlike the others'. A bad case stops nothing. Of labelled images
    also how uneven the classes are, and whether size, brightness or small bright marks alone
    tell the class.
    """
    from medseg.cli.console import REFUSED, print_json
    from medseg.cli.progress import Report as Bar
    from medseg.datasets import open_dataset
    from medseg.datasets.check import check
    from medseg.datasets.classification_check import check_images
    from medseg.datasets.images import is_labelled_images, listed_images
    from medseg.inference.machine import cores

    with Bar() as bar:

        def progress(done: int, total: int) -> None:
            bar.show("Checking", done, total)

        if is_labelled_images(dataset):
            report = check_images(listed_images(dataset), progress=progress)
        else:
            opened = open_dataset(dataset, patient)
            report = check(opened, workers=workers or cores(), progress=progress)
    if out is not None:
        from medseg.datasets.page import write_page

        write_page(out / "check.html" if out.suffix.lower() != ".html" else out, report)
    status = REFUSED if report.count("error") else 0
    if as_json:
        print_json({"status": status, "name": report.name, "cases": report.cases,
                    "findings": [_as_json(one) for one in report.remarks]})  # fmt: skip
    else:
        _show(report)
    return status


def _as_json(one: Remark) -> dict[str, Any]:
    return {**asdict(one.finding), "cases": one.cases, "do": one.do}


def _show(report: Report) -> None:
    from rich.table import Table

    from medseg.cli.console import console

    terminal = console()
    if report.remarks:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("finding", "case", "what was found", "what to do"):
            table.add_column(column, overflow="fold")
        for one in report.remarks:
            level = one.finding.level
            told = f"{one.finding.words} [{one.finding.code}]"
            table.add_row(level, _cases(one.cases), told, one.do, style=_STYLES[level])
        terminal.print(table)
        terminal.print()
    terminal.print(f"{report.name}: {report.counts}", style="bold")


def _cases(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
