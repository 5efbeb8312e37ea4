"""``medseg segment``: scans in, masks out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from medseg.batch import Outcome

EPILOG = """\b
Examples:
  medseg segment STUDY --model hippocampus-mr --out results
  medseg segment scan.nii.gz -m hippocampus-mr -o results --formats nifti,png
  medseg segment study.zip -m hippocampus-mr -o results
  medseg segment ARCHIVE -m phantom-tumor-ct -o results --resume
  medseg segment STUDY -m MODEL -o results --series "modality=CT,thickness<=3"

\b
Writes OUT/<case>/{mask.nii.gz, seg.dcm, sheet.png, probabilities.nii.gz} as asked
and OUT/run.json. <case> is the stem of the file, or for DICOM a pseudonym:
a hash of the study and the series number.
"""


class Formats(click.ParamType[tuple[str, ...]]):
    """A list of output formats, joined by commas."""

    name = "formats"
    known = ("nifti", "seg", "png")

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names, each once."""
        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",") if part.strip()))
        if not names or not set(names) <= set(self.known):
            self.fail(f"{value!r}: choose from {', '.join(self.known)}, joined by commas")
        return names


@click.command(epilog=EPILOG)
@click.argument("input", type=click.Path(path_type=Path))
@click.option("-m", "--model", required=True, help="Name of a shipped model, or a model folder.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path),
              help="Folder for the results; made if missing.")  # fmt: skip
@click.option("-f", "--formats", type=Formats(), default="nifti,seg,png", show_default=True,
              help="What to write, joined by commas.")  # fmt: skip
@click.option("-s", "--series", metavar="RULE",
              help="Which series: key=value,... with modality, description (pattern), "
                   "orientation, number, thickness (also <= and >=), case.")  # fmt: skip
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto",
              show_default=True)  # fmt: skip
@click.option("--engine", type=click.Choice(["auto", "keras", "openvino"]), default="auto",
              show_default=True, help="auto: Keras on a GPU, OpenVINO on a CPU.")  # fmt: skip
@click.option("--precision", type=click.Choice(["f32", "bf16"]), default="f32",
              show_default=True, help="bf16 is faster on processors that have it.")  # fmt: skip
@click.option("--save-probabilities", is_flag=True, help="Write them too, on the scan's grid.")
@click.option("--strict-modality", is_flag=True, help="Refuse a modality not the model's.")
@click.option("--postprocess/--no-postprocess", default=True,
              help="Whether to take the model's steps of post-processing.")  # fmt: skip
@click.option("--tta", "mirror", is_flag=True,
              help="Average over mirrored tiles: takes 2, 4 or 8 times as long.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Skip what is whole from an earlier, equal run.")
@click.option("--overwrite", is_flag=True, help="Replace earlier results.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(
    input: Path, save_probabilities: bool, formats: tuple[str, ...], as_json: bool, **options: Any
) -> int:
    """Segment the scan at INPUT, or every scan that qualifies under it.

    INPUT is a DICOM folder or file, a NIfTI, NRRD, MetaImage or MGH file, a folder of these, a
    tree of studies, a zip or a tar of any of them, or a DICOMDIR.
    """
    from medseg.batch import segment
    from medseg.batch.record import RUN_RECORD
    from medseg.cli.console import cache_folder, print_json
    from medseg.cli.outcomes import show_run
    from medseg.cli.progress import Report

    if save_probabilities:
        formats = (*formats, "probabilities")
    with Report() as report:

        def progress(done: int, total: int, case: str, tile: int, tiles: int) -> None:
            share = tile / tiles if tiles else 0
            report.show("Segmenting", round(done + share, 2), total, case)

        run = segment(input, formats=formats, cache=cache_folder(), progress=progress,
                      unpacking=report.unpacking, **options)  # fmt: skip
    if as_json:
        print_json({"status": run.exit_status, "out": str(options["out"]),
                    "cases": [outcome.as_json() for outcome in run.outcomes]})  # fmt: skip
    else:
        show_run(run, options["out"], "segmented", RUN_RECORD, "volumes", _volumes)
    return run.exit_status


def _volumes(outcome: Outcome) -> str:
    return ", ".join(f"{name} {ml:.2f} ml" for name, ml in outcome.volumes_ml.items())
