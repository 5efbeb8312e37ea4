"""``medseg check``: what is odd about a data set, before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from medseg.datasets.check import Report as Checked

EPILOG = """\b
Examples:
  medseg check Task04_Hippocampus
  medseg check images.csv
  medseg check breastmnist.npz --json

\b
Of labelled images (a CSV with case, image and label, an .npz, a folder for each class)
it also tells how well size, brightness, small bright marks and the like alone predict
the class. Exit status 3 when something must be mended before training.
"""


@click.command(epilog=EPILOG)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(dataset: Path, as_json: bool) -> int:
    """Read every case of DATASET and say what is odd, with what to do about it."""
    from medseg.cli.console import REFUSED, print_json
    from medseg.cli.progress import Report
    from medseg.datasets.images import is_labelled_images

    with Report() as report:

        def progress(done: int, total: int) -> None:
            report.show("Checking", done, total)

        if is_labelled_images(dataset):
            from medseg.datasets.classification_check import check_images
            from medseg.datasets.images import listed_images

            checked = check_images(listed_images(dataset), progress=progress)
        else:
            from medseg.datasets import open_dataset
            from medseg.datasets.check import check

            checked = check(open_dataset(dataset), progress=progress)
    status = REFUSED if checked.count("error") else 0
    if as_json:
        print_json({"status": status, "dataset": checked.name, "cases": checked.cases,
                    "remarks": [{"level": one.finding.level, "code": one.finding.code,
                                 "words": one.finding.words, "cases": list(one.cases),
                                 "do": one.do} for one in checked.remarks]})  # fmt: skip
    else:
        _show(checked)
    return status


def _show(checked: Checked) -> None:
    """Print a row a remark, gravest first."""
    from rich.table import Table

    from medseg.cli.console import console

    terminal = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("level", "what was found", "cases", "what to do"):
        table.add_column(name, overflow="fold")
    for one in checked.remarks:
        style = {"error": "bold red", "warning": "yellow"}.get(one.finding.level, "")
        table.add_row(one.finding.level, f"{one.finding.words} [{one.finding.code}]",
                      ", ".join(one.cases), one.do, style=style)  # fmt: skip
    terminal.print(table)
    terminal.print(f"{checked.name}: {checked.cases} cases, {checked.count('error')} errors, "
                   f"{checked.count('warning')} warnings")  # fmt: skip
