"""``medseg filters``: what the first layer of a network has learned, as a picture."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  medseg filters --model hippocampus-mr --out sheet.png
  medseg filters --model hippocampus-mr --out sheet.png --image scan.nii.gz
  medseg filters --model runs/busi/model --out sheet.png --image scan.png

docs/filters.md says how to read the sheet.
"""


@click.command(epilog=EPILOG)
@click.option("-m", "--model", required=True, help="Name of a model, or its folder or zip.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), metavar="SHEET.png",
              help="The picture to write; its folder is made if missing.")  # fmt: skip
@click.option("--image", type=click.Path(path_type=Path),
              help="A scan, or for a 2-D network a picture: adds what each filter makes of it."
              )  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an earlier picture.")
def command(model: str, out: Path, image: Path | None, overwrite: bool) -> int:
    """Draw the kernels of a model's first layer and what they answer to.

    The test patterns are an edge, a corner, a blob and a grating. Works on every convolutional
    network, 2-D and 3-D, that segments or classifies.
    """
    from medseg.exporting.filters import write_filters
    from medseg.models import find

    filters = write_filters(out, find(model), image, overwrite=overwrite)
    size = " x ".join(map(str, filters.kernels.shape[2:]))
    click.echo(f"{len(filters.kernels)} filters of {size} ({filters.layer}); look at {out}")
    return 0
