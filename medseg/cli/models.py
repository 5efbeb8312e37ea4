"""``medseg models``: which models are there, and what a person should know of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from medseg.models import Entry, ModelPackage

EPILOG = """\b
Examples:
  medseg models
  medseg models runs
  medseg models --card hippocampus-mr > card.md

Ends with 0, or with 4 when a model that was asked for by name cannot be used.
"""


@click.command(epilog=EPILOG)
@click.argument("folders", nargs=-1, metavar="[FOLDER]...", type=click.Path(path_type=Path))
@click.option("--card", metavar="NAME", help="Print the whole card of one model as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def command(folders: tuple[Path, ...], card: str | None, as_json: bool) -> int:
    """List models and show their cards.

    The models that come with medseg, and those in each FOLDER: a model package, or a folder
    that holds some. Every file is checked against its checksum.
    """
    from medseg.cli.console import MODEL, print_json
    from medseg.models import listed

    if card is not None:
        _show_card(_named(card, folders), as_json)
        return 0
    entries = listed(folders)
    status = MODEL if any(entry.refusal and entry.path in folders for entry in entries) else 0
    if as_json:
        print_json({"status": status, "models": [_as_json(entry) for entry in entries]})
    else:
        _show(entries)
    return status


def _named(name: str, folders: tuple[Path, ...]) -> ModelPackage:
    """Return the model of a name among those listed, or at a place of that name."""
    from medseg.models import find, listed

    for entry in listed(folders):
        if entry.name == name:
            if entry.refusal:
                raise entry.refusal
            assert entry.package is not None
            return entry.package
    return find(name)


def _show_card(package: ModelPackage, as_json: bool) -> None:
    from medseg.cli.console import print_json
    from medseg.models import as_markdown

    if as_json:
        print_json({"status": 0, "name": package.name, "version": package.version,
                    "hash": package.hash, "card": package.card.model_dump(mode="json")}
                   )  # fmt: skip
    else:
        click.echo(as_markdown(package.card, f"{package.name} {package.version}"), nl=False)


def _as_json(entry: Entry) -> dict[str, Any]:
    shown = {"name": entry.name, "path": str(entry.path), "shipped": entry.shipped}
    if entry.package is None:
        assert entry.refusal is not None
        return {**shown, "broken": {"code": entry.refusal.code, "words": str(entry.refusal)}}
    package = entry.package
    return {**shown, "version": package.version, "hash": package.hash,
            "card": package.card.model_dump(mode="json")}  # fmt: skip


def _show(entries: list[Entry]) -> None:
    """Print name and brief card of each model; of a broken one, the reason."""
    from rich.padding import Padding
    from rich.text import Text

    from medseg.cli.console import console
    from medseg.models import brief

    terminal = console()
    if not entries:
        terminal.print("No model came with this installation. Give the folder of one, or train "
                       "one: medseg train --help")  # fmt: skip
    for number, entry in enumerate(entries):
        if number:
            terminal.print()
        where = "comes with medseg" if entry.shipped else str(entry.path)
        if entry.package is None:
            terminal.print(Text.assemble((f"{entry.name}: broken", "bold red"), f" ({where})"))
            lines = [str(entry.refusal)]
        else:
            title = f"{entry.name} {entry.package.version}"
            terminal.print(Text.assemble((title, "bold"), f" ({where})"))
            lines = brief(entry.package.card)
        for line in lines:
            terminal.print(Padding(Text(line), (0, 0, 0, 2)))
