"""``medseg classify``: images in, what they show and how sure that is out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from medseg.batch import Outcome

EPILOG = """\b
Examples:
  medseg classify scan.png --model runs/busi/model --out results
  medseg classify PICTURES -m runs/busi/model -o results
  medseg classify test.npz -m runs/busi/model -o results --json

\b
Writes OUT/<case>/result.json (label, probability, the set of classes that cannot be
ruled out, what that was calibrated on, whether the image looks like those of the
training), OUT/predictions.csv for medseg evaluate, and OUT/run.json.
"""


@click.command(epilog=EPILOG)
@click.argument("input", type=click.Path(path_type=Path))
@click.option("-m", "--model", required=True, help="Name of a shipped classifier, or its folder.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path),
              help="Folder for the results; made if missing.")  # fmt: skip
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto",
              show_default=True)  # fmt: skip
@click.option("--engine", type=click.Choice(["auto", "keras", "openvino"]), default="auto",
              show_default=True, help="auto: Keras on a GPU, OpenVINO on a CPU.")  # fmt: skip
@click.option("--precision", type=click.Choice(["f32", "bf16"]), default="f32",
              show_default=True, help="bf16 is faster on processors that have it.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace earlier results.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(input: Path, as_json: bool, **options: Any) -> int:
    """Say of the image at INPUT, or of every image under it, which class it shows.

    INPUT is a picture (PNG, JPEG), a DICOM folder or file, a NIfTI, NRRD, MetaImage or MGH
    file, an .npz of pixels, or a folder of these.
    """
    from medseg.batch import classify
    from medseg.batch.record import RUN_RECORD
    from medseg.cli.console import cache_folder, print_json
    from medseg.cli.outcomes import show_run
    from medseg.cli.progress import Report

    with Report() as report:
        run = classify(
            input, cache=cache_folder(), unpacking=report.unpacking,
            progress=lambda done, total, case: report.show("Classifying", done, total, case),
            **options,
        )  # fmt: skip
    if as_json:
        print_json({"status": run.exit_status, "out": str(options["out"]),
                    "cases": [outcome.as_json() for outcome in run.outcomes]})  # fmt: skip
    else:
        show_run(run, options["out"], "classified", RUN_RECORD, "class and how sure", _said)
    return run.exit_status


def _said(outcome: Outcome) -> str:
    """Return the label with its probability, or what cannot be told apart."""
    told = outcome.classification
    if not told:
        return ""
    words = f"{told['label']} {told['probability']:.2f}"
    if told["in_domain"] is False:
        return f"not sure (unlike the training's images): {words}"
    if told["prediction_set"] is None or told["sure"]:
        return words
    return f"not sure: {' or '.join(told['prediction_set']) or 'none of the classes'}; {words}"
