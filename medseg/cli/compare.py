"""``medseg compare``: models against one another on the same cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medseg.cli.evaluate import judging, options_of

if TYPE_CHECKING:
    from medseg.evaluation import Comparison

EPILOG = """\b
Examples:
  medseg compare runs/a/masks runs/b/masks labelsTr --out comparison
  medseg compare a b c labelsTr -o comparison --name unet --name wide --name deep

\b
Writes OUT/comparison.html, OUT/comparison.json and OUT/differences.csv (a row a case,
label and score). A case that one model lacks counts as one where it found nothing,
and the command then ends with 6, as when a case could not be judged.
"""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, metavar="A B [C ...] REFERENCES",
                type=click.Path(path_type=Path))  # fmt: skip
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path),
              help="Folder for the results; made if missing.")  # fmt: skip
@click.option("--name", "names", multiple=True, metavar="NAME",
              help="Of a model, in their order; by default the folders' names.")  # fmt: skip
@judging
def command(
    paths: tuple[Path, ...], out: Path, names: tuple[str, ...], images: Path | None,
    table: Path | None, overwrite: bool, as_json: bool, **choices: Any,
) -> int:  # fmt: skip
    """Compare the predictions A, B and more against REFERENCES, pair by pair, and rank them.

    Each is a folder or a manifest as for `medseg evaluate`.
    """
    from medseg.cli.console import print_json
    from medseg.cli.progress import Report
    from medseg.evaluation import compare
    from medseg.evaluation.compare_report import as_json as comparison_json

    options = options_of(missing_as_empty=True, **choices)
    with Report() as report:
        result = compare(
            paths[:-1], paths[-1], out=out, names=names, images=images, options=options,
            table=table, overwrite=overwrite,
            progress=lambda done, total, case: report.show("Comparing", done, total, case),
        )  # fmt: skip
    if as_json:
        print_json({**comparison_json(result), "out": str(out)})
    else:
        _show(result, out)
    return result.exit_status


def _show(result: Comparison, out: Path) -> None:
    from rich.table import Table

    from medseg.cli.console import console
    from medseg.evaluation.compare_report import title_of

    terminal = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("score", "label", "models", "difference", "p (Holm)", "better, worse", "cases"):
        words = name in ("score", "label", "models")
        table.add_column(name, justify="left" if words else "right", overflow="fold")
    for one in result.differences:
        paired = one.paired
        table.add_row(
            title_of(one.score), one.name,
            f"{result.names[one.second]} - {result.names[one.first]}",
            f"{paired.difference:+.3f} [{paired.low:+.3f}, {paired.high:+.3f}]",
            f"{one.p_holm:.4f}", f"{paired.wins}, {paired.losses}", str(paired.cases),
        )  # fmt: skip
    terminal.print(table)
    for place in result.places:
        if place.score == "dice":
            order = sorted(zip(place.ranking.ranks, result.names, strict=True),
                           key=lambda one: one[0].of_mean)  # fmt: skip
            told = ", ".join(f"{rank.of_mean:g} {name} ({rank.mean:.3f})" for rank, name in order)
            terminal.print(f"Ranking by Dice, {place.name}: {told}")
    for name, evaluation in zip(result.names, result.evaluations, strict=True):
        for case in evaluation.failed:
            assert case.refusal is not None
            told = f"{name}: {case.case}: {case.refusal} [{case.refusal.code}]"
            terminal.print(told, style="bold red")
    for name, count in result.lacking:
        told = f"{name} has no prediction for {count} cases; they count as found nothing"
        terminal.print(told, style="bold red")
    terminal.print(f"{len(result.names)} models in {result.seconds:.1f} s; "
                   f"read {out / 'comparison.html'}")  # fmt: skip
