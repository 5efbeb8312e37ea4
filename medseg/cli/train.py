"""``medseg train``: a config in, a model package out."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  medseg train configs/hippocampus_mr.yaml --out runs/hippocampus
  medseg train my.yaml -o runs/mine --set epochs=50 --set optimizer.rate=1e-3
  medseg train my.yaml -o runs/mine --resume

\b
Writes OUT/model/ (the package), OUT/validation.csv (Dice of each held-out case,
worst first), OUT/log.csv (loss of each epoch) and OUT/checkpoint.safetensors.
configs/README.md says what each key of the config means.
"""


@click.command(epilog=EPILOG)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path),
              help="Folder for the training and its model; made if missing.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="Change a value of the config; repeat for more.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in OUT, exactly.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def command(
    config: Path, out: Path, overrides: tuple[str, ...], resume: bool, as_json: bool
) -> None:
    """Train a model as CONFIG says and pack it.

    The data set is in any layout of docs/datasets.md: MSD, nnU-Net raw, a manifest, DICOM studies.
    """
    from medseg.cli.console import console, print_json
    from medseg.cli.progress import Report
    from medseg.models import brief
    from medseg.training import load_config, train

    names = {"prepare": "Preparing cases", "train": "Training", "validate": "Validating"}
    settings = load_config(config, overrides)
    with Report() as report:
        package = train(
            settings, out, resume=resume,
            progress=lambda stage, done, total, note: report.show(names[stage], done, total, note),
        )  # fmt: skip
    if as_json:
        print_json({"status": 0, "model": str(package.path), "hash": package.hash,
                    "card": package.card.model_dump(mode="json")})  # fmt: skip
        return
    terminal = console()
    terminal.print(f"{package.name} {package.version}: {package.path}", style="bold")
    for line in brief(package.card):
        terminal.print(line)
