"""``medseg preview``: what the network will see, as a picture."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  medseg preview configs/hippocampus_mr.yaml --out preview
  medseg preview my.yaml -o preview --count 12 --seed 7
  medseg preview my.yaml -o preview --set augmentation=default

\b
Writes OUT/preview.png: patches as the training's own sampler draws them, before
and after augmentation, with their labels. docs/augmentation.md has the steps.
"""


@click.command(epilog=EPILOG)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path),
              help="Folder for the sheet; made if missing.")  # fmt: skip
@click.option("-n", "--count", type=click.IntRange(1, 60), default=6, show_default=True,
              help="Patches to draw.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Draw others than the config's seed does.")
@click.option("--data", type=click.Path(path_type=Path),
              help="Data set, instead of the config's.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="Change a value of the config; repeat for more.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def command(
    config: Path, out: Path, count: int, seed: int | None, data: Path | None,
    overrides: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Draw a sheet of the patches that a training with CONFIG would see."""
    from medseg.cli.console import console, print_json
    from medseg.cli.progress import Report
    from medseg.training import load_config
    from medseg.training.preview import preview

    settings = load_config(config, overrides)
    if data is not None:
        settings = settings.model_copy(update={"dataset": data})
    with Report() as report:
        made = preview(
            settings, out, count=count, seed=seed,
            progress=lambda _, done, total, note: report.show("Preparing", done, total, note),
        )  # fmt: skip
    if as_json:
        print_json({"status": 0, "sheet": str(made.path), "mirror_axes": made.plan.mirror_axes,
                    "swap": made.plan.swap,
                    "findings": [str(finding) for finding in made.findings]})  # fmt: skip
        return
    terminal = console()
    terminal.print(f"{count} patches: {made.path}", style="bold")
    for finding in made.findings:
        terminal.print(str(finding))
