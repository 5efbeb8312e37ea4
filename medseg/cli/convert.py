"""``medseg convert``: scans to NIfTI, exact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from medseg.batch import Outcome

EPILOG = """\b
Examples:
  medseg convert STUDY --out nifti
  medseg convert study.zip --out nifti
  medseg convert ARCHIVE -o nifti --series "modality=CT,thickness<=3"
  medseg convert fmri.nii.gz -o nifti --volume 0

\b
Writes OUT/<case>.nii.gz for each series and OUT/findings.json with what is odd
about it, or why it is not written. <case> is a hash of the study and the series
number, or the stem of another file.
"""


@click.command(epilog=EPILOG)
@click.argument("input", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path),
              help="Folder for the results; made if missing.")  # fmt: skip
@click.option("-f", "--format", type=click.Choice(["nifti"]), default="nifti", show_default=True)
@click.option("-s", "--series", metavar="RULE",
              help="Which series; see medseg scan --help.")  # fmt: skip
@click.option("--volume", type=click.IntRange(min=0), metavar="N",
              help="Which volume of a 4-D file, from 0.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace earlier results.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(input: Path, out: Path, format: str, as_json: bool, **options: Any) -> int:
    """Write every series under INPUT as NIfTI, with its geometry and values exact.

    INPUT is a DICOM folder or file, a NIfTI, NRRD, MetaImage or MGH file, a tree of these, a zip
    or a tar of them, or a DICOMDIR. A series that cannot be read right is refused with the
    reason; it does not stop the others.
    """
    from medseg.batch import convert
    from medseg.batch.record import FINDINGS_RECORD
    from medseg.cli.console import print_json
    from medseg.cli.outcomes import show_run
    from medseg.cli.progress import Report

    with Report() as report:

        def progress(done: int, total: int, case: str) -> None:
            report.show("Converting", done, total, case)

        run = convert(input, out, progress=progress, unpacking=report.unpacking, **options)
    if as_json:
        print_json({"status": run.exit_status, "out": str(out),
                    "cases": [outcome.as_json() for outcome in run.outcomes]})  # fmt: skip
    else:
        show_run(run, out, "converted", FINDINGS_RECORD, "grid", _grid)
    return run.exit_status


def _grid(outcome: Outcome) -> str:
    voxels = " x ".join(map(str, outcome.shape))
    return f"{voxels}, {' x '.join(f'{size:.3g}' for size in outcome.spacing_mm)} mm"
