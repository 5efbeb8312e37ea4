"""``medseg config-schema``: what a training config may say, for editors that check as one types."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  medseg config-schema --out training.schema.json
  medseg config-schema | less

\b
Editors with a YAML language server check a config whose first line is
  # yaml-language-server: $schema=training.schema.json
"""


@click.command(epilog=EPILOG)
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False),
              help="File to write; standard output when left out.")  # fmt: skip
def command(out: Path | None) -> None:
    """Write the JSON Schema of a training config."""
    import json

    from medseg.files import write_json
    from medseg.training import TrainingConfig

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema",
              **TrainingConfig.model_json_schema()}  # fmt: skip
    if out is None:
        click.echo(json.dumps(schema, indent=2, ensure_ascii=False))
    else:
        write_json(out, schema)
        click.echo(f"{out}: schema of a training config")
