"""``medseg ensemble``: several models in, one package that averages them out."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  medseg ensemble runs/fold0 runs/fold1 runs/fold2 --out hippocampus
  medseg ensemble runs/fine/model runs/coarse/model -o both.zip --name both

\b
OUT is used as any other model: medseg segment STUDY --model OUT ...
To choose by cross-validation what is worth averaging: medseg find-best --help
"""


@click.command(epilog=EPILOG)
@click.argument("members", nargs=-1, required=True, metavar="RUN_OR_PACKAGE...")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path),
              help="Folder for the package, or a zip; an older package there is replaced."
              )  # fmt: skip
@click.option("--name", default="", help="Of the new model; that of the first when left out.")
@click.option("--version", default="1", show_default=True, help="Of the new model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def command(members: tuple[str, ...], out: Path, name: str, version: str, as_json: bool) -> int:
    """Pack several models as one whose predictions are their average.

    RUN_OR_PACKAGE is the folder of a training, the folder or zip of a model, or the name of a
    shipped one: folds of one configuration, or other configurations for the same labels.
    """
    from medseg.cli.console import console, print_json
    from medseg.models import brief, ensembled, member

    package = ensembled([member(one) for one in members], out, name=name, version=version)
    networks = len(package.networks)
    if as_json:
        print_json({"status": 0, "model": str(package.path), "hash": package.hash,
                    "networks": networks, "card": package.card.model_dump(mode="json")}
                   )  # fmt: skip
        return 0
    terminal = console()
    counted = f"{networks} networks" if networks > 1 else "1 network"
    terminal.print(f"{package.name} {package.version}: {counted}, {package.path}", style="bold")
    for line in brief(package.card):
        terminal.print(line)
    return 0
