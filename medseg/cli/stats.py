"""``medseg stats``: what can be measured of a mask, without segmenting again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from medseg.evaluation.measuring import Intensity, Lesion, Measured, Measurements

EPILOG = """\b
Examples:
  medseg stats results/case/mask.nii.gz
  medseg stats seg.dcm --image STUDY
  medseg stats mask.nii.gz --labels LABELS.yaml --json

\b
Long and short axis are those of RECIST 1.1: the longest diameter in any slice, and the
longest one at a right angle to it in that slice. Slices are counted from 1 in file order.
"""

_SHOWN = 10  # lesions of a label in the table; --json has up to 100


@click.command(epilog=EPILOG)
@click.argument("mask", type=click.Path(path_type=Path))
@click.option("--image", type=click.Path(path_type=Path), help="The scan the mask lies on.")
@click.option("--labels", type=click.Path(path_type=Path), metavar="LABELS.yaml",
              help="What the values mean, and regions: a list of value, name, ...")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(mask: Path, image: Path | None, labels: Path | None, as_json: bool) -> int:
    """Measure each label of MASK: volume, extents, RECIST axes, intensities, lesions.

    MASK is NIfTI, DICOM SEG or RTSTRUCT. A label that has no voxel is told as empty.
    """
    from medseg.cli.console import print_json
    from medseg.evaluation import load_labels
    from medseg.evaluation.measuring import measure

    found = measure(mask, image, load_labels(labels) if labels else None)
    if as_json:
        print_json({"status": 0, **_as_json(found)})
    else:
        _show(found)
    return 0


def _as_json(found: Measurements) -> dict[str, Any]:
    return {
        "shape": found.geometry.shape,
        "spacing_mm": found.geometry.spacing,
        "slices_along": "ijk"[found.axis],
        "labels": [_label_json(one) for one in found.labels],
        "findings": [asdict(one) for one in found.findings],
    }


def _label_json(one: Measured) -> dict[str, Any]:
    told = {"label": one.label, "name": one.name, "empty": not one.voxels, "voxels": one.voxels}
    if not one.voxels:
        return told
    assert one.longest is not None
    return {
        **told, "volume_ml": one.volume_ml, "extents_mm": one.extents_mm,
        "long_mm": one.longest.long_mm, "short_mm": one.longest.short_mm,
        "slice": one.longest.slice, "touches_border": one.touches_border,
        "intensity": asdict(one.intensity) if one.intensity else None,
        "lesion_count": one.count, "lesions": [asdict(lesion) for lesion in one.lesions],
    }  # fmt: skip


def _show(found: Measurements) -> None:
    from rich.table import Table

    from medseg.cli.console import console

    terminal = console()
    measured = any(one.intensity for one in found.labels)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("label", overflow="fold")
    for name in ("ml", "extents mm", "long mm", "short mm", "slice", "lesions",
                 *(["mean ± SD", "range"] if measured else [])):  # fmt: skip
        table.add_column(name, justify="right")
    for one in found.labels:
        table.add_row(*_cells(one), style="" if one.voxels else "bold red")
        if one.count > 1:
            for number, lesion in enumerate(one.lesions[:_SHOWN], 1):
                table.add_row(*_lesion_cells(number, lesion), style="dim")
            if one.count > _SHOWN:
                table.add_row(f"  and {one.count - _SHOWN} more", style="dim")
    terminal.print(table)
    for finding in found.findings:
        terminal.print(str(finding), style="bold red")
    terminal.print(f"Slices along {'ijk'[found.axis]}, counted from 1; diameters are those of the "
                   "lesion with the longest one. Research use only.")  # fmt: skip


def _cells(one: Measured) -> list[str]:
    if not one.voxels:
        return [one.name, "empty"]
    assert one.longest is not None
    extents = " x ".join(f"{mm:.1f}" for mm in one.extents_mm)
    return [one.name, f"{one.volume_ml:.3f}", extents, *_axes(one.longest), str(one.count),
            *_values(one.intensity)]  # fmt: skip


def _lesion_cells(number: int, lesion: Lesion) -> list[str]:
    return [f"  lesion {number}", f"{lesion.volume_ml:.3f}", "", *_axes(lesion), "",
            *_values(lesion.intensity)]  # fmt: skip


def _axes(lesion: Lesion) -> list[str]:
    return [f"{lesion.long_mm:.1f}", f"{lesion.short_mm:.1f}", str(lesion.slice)]


def _values(one: Intensity | None) -> list[str]:
    if one is None:
        return []
    return [f"{one.mean:.4g} ± {one.deviation:.3g}", f"{one.least:.4g} to {one.most:.4g}"]
