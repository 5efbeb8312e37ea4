"""``medseg train``: a config in, a model package out."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  medseg train configs/hippocampus.yaml --out runs/hippocampus
  medseg train my.yaml -o runs/mine --fold 2 --time-budget 30m
  medseg train my.yaml -o runs/mine --data /data/set --set optimizer.rate=1e-3
  medseg train my.yaml -o runs/mine --resume

\b
Writes into OUT: model/ (the package), validation.csv (Dice of each held-out case,
worst first), metrics.csv and progress.png (each epoch), config.yaml (what was asked
for) and checkpoint.safetensors. A training that was interrupted, or killed, goes on
with --resume; at most the epoch that ran is lost.
configs/README.md says what each key of the config means.
"""


@click.command(epilog=EPILOG)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path),
              help="Folder for the training and its model; made if missing.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Data set in place of the config's.")  # fmt: skip
@click.option("--fold", metavar="K|all", help="Fold to hold out, from 0; all: none.")
@click.option("--epochs", metavar="N", help="Epochs to train.")
@click.option("--patience", metavar="P",
              help="Stop P epochs after the best pseudo-Dice; keep those weights.")  # fmt: skip
@click.option("--time-budget", metavar="TIME",
              help="Train so long, such as 30m; the rate follows the clock.")  # fmt: skip
@click.option("--seed", metavar="S", help="Seed of weights, patches and augmentation.")
@click.option("--deterministic", is_flag=True,
              help="Give the same weights again from the same seed.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="Change a value of the config; repeat for more.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in OUT, exactly.")
@click.option("--overwrite", is_flag=True, help="Start anew where OUT holds a training.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def command(
    config: Path, out: Path, data: Path | None, overrides: tuple[str, ...], resume: bool,
    overwrite: bool, as_json: bool, **settings: str | bool | None,
) -> None:  # fmt: skip
    """Train a model as CONFIG says and pack it.

    An option such as --fold stands for --set fold=... and wins over CONFIG.

    The data set is in any layout of docs/datasets.md: MSD, nnU-Net raw, a manifest, DICOM studies.
    """
    from medseg.cli.console import console, print_json
    from medseg.cli.progress import Report
    from medseg.models import brief
    from medseg.training import load_config, train

    names = {"prepare": "Preparing cases", "train": "Training", "validate": "Validating"}
    told = [f"{key}={str(value).lower()}" for key, value in settings.items() if value]
    asked = load_config(config, [*overrides, *told], data=data)
    try:
        with Report() as report:
            package = train(
                asked, out, resume=resume, overwrite=overwrite,
                progress=lambda stage, done, total, note: report.show(
                    names[stage], done, total, note
                ),
            )  # fmt: skip
    except KeyboardInterrupt:
        click.echo("The same command with --resume goes on from the last whole epoch.", err=True)
        raise
    if as_json:
        print_json({"status": 0, "model": str(package.path), "hash": package.hash,
                    "card": package.card.model_dump(mode="json")})  # fmt: skip
        return
    terminal = console()
    terminal.print(f"{package.name} {package.version}: {package.path}", style="bold")
    for line in brief(package.card):
        terminal.print(line)
