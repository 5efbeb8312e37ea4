"""``medseg prepare``: the cases of a training as its network will see them, made beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from medseg.datasets.store import Need, Prepared

EPILOG = """\b
Examples:
  medseg prepare my.yaml
  medseg prepare my.yaml --out /fast/store --workers 8
  medseg train my.yaml -o runs/mine --set prepared=/fast/store

\b
A store can be used by every training that differs only in patch, network, loss
or schedule. A second call goes on where the first one stopped. Exit status: 0
all cases are there, 6 some are not, 3 none is.
"""


@click.command(epilog=EPILOG)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Data set; the config's if left out.")
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="STORE",
              help="Folder; 'prepared' in the config, else CONFIG's name with .store.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="Change a value of the config; repeat for more.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), help="Cases at a time; the cores when left out.")
@click.option("--overwrite", is_flag=True, help="Empty a store that was made for another plan.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def command(
    config: Path, data: Path | None, out: Path | None, overrides: tuple[str, ...],
    workers: int | None, overwrite: bool, as_json: bool,
) -> int:  # fmt: skip
    """Prepare every case of the data set that CONFIG trains on, and keep them in STORE.

    Oriented, resampled and normalised, as memory-mapped float16 arrays with an index of the
    foreground. A case that cannot be used is listed and stops no other.
    """
    from medseg.cli.console import print_json
    from medseg.cli.progress import Report
    from medseg.datasets import Dataset
    from medseg.datasets.store import prepare_cases
    from medseg.errors import PlanRefused
    from medseg.inference.machine import cores
    from medseg.training import load_config
    from medseg.training.opening import open_training

    changes = {"skip_refused": True} | ({"dataset": data} if data is not None else {})
    settings = load_config(config, overrides).model_copy(update=changes)
    folder = out or settings.prepared or config.with_suffix(".store")
    training = open_training(settings)
    if not isinstance(training.dataset, Dataset):
        raise PlanRefused("task-differs", "Whole images are prepared by the training itself",
                          do="Use medseg train")  # fmt: skip
    with Report() as report:
        prepared = prepare_cases(
            training.dataset.cases, training.plan, folder,
            lambda done, total: report.show("Preparing", done, total),
            ignore=training.dataset.ignore, workers=workers or cores(), anew=overwrite,
            announce=_announce,
        )  # fmt: skip
    status = 0 if not prepared.refused else 6 if prepared.done else 3
    if as_json:
        print_json({"status": status, "store": str(folder), "done": len(prepared.done),
                    "resumed": prepared.resumed,
                    "refused": [{"case": name, "code": why.code, "words": str(why)}
                                for name, why in prepared.refused.items()]})  # fmt: skip
    else:
        _show(prepared)
    return status


def _announce(need: Need) -> None:
    """Say on standard error what is about to be written."""
    from medseg.files import in_words

    click.echo(f"{need.cases} cases to prepare, about {in_words(need.bytes)}; "
               f"{in_words(need.free)} are free", err=True)  # fmt: skip


def _show(prepared: Prepared) -> None:
    from medseg.cli.console import console

    terminal = console()
    for why in prepared.refused.values():
        terminal.print(f"{why} [{why.code}]", style="bold red")
    resumed = f", {prepared.resumed} of them from before" if prepared.resumed else ""
    refused = f", {len(prepared.refused)} refused" if prepared.refused else ""
    terminal.print(f"{len(prepared.done)} cases in {prepared.folder}{resumed}{refused}")
    if prepared.refused and prepared.done:
        terminal.print("Training refuses them too, unless the config says skip_refused: true")
