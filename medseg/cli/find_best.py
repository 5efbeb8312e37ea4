"""``medseg find-best``: trainings in; the choice that their held-out cases bear out, packed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from medseg.inference.engines import EngineName
    from medseg.training.find_best import Best

REST = 38  # characters that gain, interval and "taken" need

EPILOG = """\b
Examples:
  medseg find-best runs/fold0 runs/fold1 runs/fold2 runs/fold3 runs/fold4 --out best
  medseg find-best runs/fine-* runs/coarse-* -o best.zip --name both --json

\b
Writes OUT (the package, with the evidence inside) and OUT.held-out/ (the masks of held-out
cases, which another call uses again). docs/ensembles.md says how it chooses.
"""


@click.command(epilog=EPILOG)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...",
                type=click.Path(path_type=Path))  # fmt: skip
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path),
              help="Folder for the package, or a zip; an older package there is replaced."
              )  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path),
              help="Where the data set lies; where the first config says when left out."
              )  # fmt: skip
@click.option("--name", default="", help="Of the new model; that of the first when left out.")
@click.option("--version", default="1", show_default=True, help="Of the new model.")
@click.option("--engine", type=click.Choice(["auto", "keras", "openvino"]), default="auto",
              show_default=True, help="auto: Keras on a GPU, OpenVINO on a CPU.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def command(
    runs: tuple[Path, ...],
    out: Path,
    data: Path | None,
    name: str,
    version: str,
    engine: EngineName,
    as_json: bool,
) -> int:
    """Choose configuration, pair and post-processing by cross-validation, and pack them.

    RUN is the folder of a training, as medseg train wrote it: the folds of one configuration,
    or of several that hold out the same cases. A pair or a step of post-processing is taken
    only where its gain is sure at 95 %.
    """
    from medseg.cli.console import cache_folder, print_json
    from medseg.cli.progress import Report
    from medseg.training.find_best import find_best

    names = {"predict": "Segmenting held-out cases", "compare": "Comparing",
             "post-process": "Trying post-processing"}  # fmt: skip
    with Report() as report:
        best = find_best(
            runs, out, data=data, name=name, version=version, engine=engine,
            cache=cache_folder(),
            progress=lambda stage, done, total, note: report.show(names[stage], done, total, note),
        )  # fmt: skip
    if as_json:
        print_json({"status": 0, "model": str(best.package.path), "hash": best.package.hash,
                    "cases": best.cases, "left_out": best.left_out,
                    "networks": len(best.package.networks),
                    "evidence": [one.model_dump(mode="json") for one in best.evidence]}
                   )  # fmt: skip
    else:
        _show(best)
    return 0


def _show(best: Best) -> None:
    """Print every candidate with its figures and gain, and what was chosen."""
    from medseg.cli.console import console

    terminal = console()
    for one in best.configurations[1:]:
        terminal.print(f"{one.name}: {', '.join(one.changes)}", highlight=False)
    terminal.print(_table(best, terminal.width))
    rest = f"; {best.left_out} more are not held out by all" if best.left_out else ""
    terminal.print(f"Mean Dice over {best.cases} held-out cases{rest}")
    package = best.package
    networks, steps = len(package.networks), len(package.postprocessing)
    terminal.print(f"{package.name} {package.version}: {networks} network{'s' * (networks != 1)}, "
                   f"{steps} step{'s' * (steps != 1)} of post-processing, {package.path}",
                   style="bold")  # fmt: skip


def _table(best: Best, width: int) -> Table:
    """Return a row a candidate; the labels have columns of their own where there is room."""
    from rich.table import Table

    from medseg.training.validate import MEAN

    figures = list(dict.fromkeys(name for one in best.evidence for name in one.figures))
    heads = [name.removeprefix("Dice, ") for name in figures]
    longest = max(len(one.candidate) for one in best.evidence)
    if longest + sum(len(head) + 2 for head in heads) + REST > width:
        figures, heads = [MEAN], ["Dice"]
    table = Table(box=None, pad_edge=False)
    table.add_column("candidate")
    for head in [*heads, "gain", "95 % interval"]:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for one in best.evidence:
        means = [f"{one.figures[name]:.4f}" if name in one.figures else "-" for name in figures]
        gain = "" if one.gain is None else f"{one.gain:+.4f}"
        sure = "" if one.low is None or one.high is None else f"{one.low:+.4f} to {one.high:+.4f}"
        table.add_row(one.candidate, *means, gain, sure, "taken" if one.chosen else "",
                      style="bold" if one.chosen else None)  # fmt: skip
    return table
