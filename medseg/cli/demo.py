"""``medseg demo``: from a DICOM study with known truth to masks, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from medseg.batch import Outcome, Run

PHANTOM, HIPPOCAMPUS = "ct_tumor_phantom", "hippocampus"  # folders of data_samples
DEMO_SEED = 13  # of the study in data_samples


@dataclass(frozen=True)
class Compared:
    """A label of a case against its truth."""

    case: str
    label: str
    found_ml: float
    truth_ml: float
    dice: float


EPILOG = """\b
Examples:
  medseg demo
  medseg demo textbook
  medseg demo textbook --data pneumoniamnist.npz --seed 3
"""


@click.command(epilog=EPILOG)
@click.argument("story", type=click.Choice(["segment", "textbook"]), default="segment")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("medseg-demo"),
              show_default=True, help="Folder for the results.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), help="Of textbook: an .npz of MedMNIST.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of textbook.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def command(story: str, out: Path, data: Path | None, seed: int, as_json: bool) -> int:
    """Segment the demo scans and compare with the known truth, or train a textbook network.

    A CT phantom with a tumour goes all the way: DICOM in, NIfTI, DICOM SEG and a picture out.
    In a clone of the repository two real MR cases follow, which the model never saw.

    With textbook, the convolutional network of the textbooks learns on small ultrasound images,
    in under a minute: what each layer does, a training curve, and honest figures.
    """
    if story == "textbook":
        from medseg.cli.textbook import run as tell

        return tell(data, out / "textbook", seed, _samples(), as_json)
    from medseg.batch import segment
    from medseg.cli.console import cache_folder, print_json
    from medseg.cli.progress import Report

    runs: list[tuple[str, Run, Path]] = []
    compared: list[Compared] = []
    with Report() as report:

        def run(model: str, scans: Path, truths: dict[str, Path]) -> None:
            def progress(done: int, total: int, case: str, tile: int, tiles: int) -> None:
                report.show(model, round(done + tile / max(tiles, 1), 2), total, case)

            folder = out / model
            done = segment(scans, model=model, out=folder, overwrite=True,
                           cache=cache_folder(), progress=progress)  # fmt: skip
            runs.append((model, done, folder))
            compared.extend(_compared(done, folder, truths))

        study, truth = _phantom(out)
        run("phantom-tumor-ct", study, {"": truth})
        samples = _samples() / HIPPOCAMPUS
        if samples.is_dir():
            names = {path.name.split(".")[0]: path for path in (samples / "labels").iterdir()}
            run("hippocampus-mr", samples / "images", names)
    if as_json:
        print_json(_as_json(runs, compared))
    else:
        _show(runs, compared)
    return max(done.exit_status for _, done, _ in runs)


def _samples() -> Path:
    """Return where data_samples lies in a clone; it need not exist."""
    import medseg

    return Path(medseg.__file__).parents[1] / "data_samples"


def _phantom(out: Path) -> tuple[Path, Path]:
    """Return the phantom study and its truth: from the clone, or made anew, byte for byte."""
    from medseg.phantoms.study import truth_path, write_study

    study = _samples() / PHANTOM
    if not study.is_dir():
        study = out / "study" / PHANTOM
        if not truth_path(study).exists():
            write_study(study, DEMO_SEED)
    return study, truth_path(study)


def _compared(run: Run, folder: Path, truths: dict[str, Path]) -> list[Compared]:
    """Compare each mask, as it was written, with its truth; ``""`` stands for any case."""
    from medseg.metrics import dice
    from medseg.models import find
    from medseg.preparing import moved
    from medseg.reading import read_labels

    rows = []
    for outcome in run.outcomes:
        truth_file = truths.get(outcome.case) or truths.get("")
        if outcome.status != "done" or truth_file is None:
            continue
        labels = find(outcome.provenance["model"]["name"]).plan.labels
        mask = read_labels(folder / outcome.case / "mask.nii.gz", labels)
        truth = moved(read_labels(truth_file, labels), mask.geometry)
        volumes = mask.volumes_ml(), truth.volumes_ml()
        rows += [
            Compared(outcome.case, label.name, volumes[0][label.name], volumes[1][label.name],
                     dice(truth.array == label.value, mask.array == label.value))
            for label in labels
        ]  # fmt: skip
    return rows


def _show(runs: list[tuple[str, Run, Path]], compared: list[Compared]) -> None:
    """Print what was found against the truth, seconds for each stage, and where the files are."""
    from rich.table import Table

    from medseg.cli.console import console

    terminal = console()
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for name in ("case", "structure"):
        table.add_column(name, overflow="fold")
    for name in ("found ml", "truth ml", "Dice"):
        table.add_column(name, justify="right")
    for row in compared:
        table.add_row(row.case, row.label, f"{row.found_ml:.2f}", f"{row.truth_ml:.2f}",
                      f"{row.dice:.3f}")  # fmt: skip
    terminal.print(table)
    terminal.print()
    stages = Table(box=None, pad_edge=False, header_style="bold")
    stages.add_column("seconds", overflow="fold")
    names = ("read", "prepare", "predict", "restore", "write")
    for name in names:
        stages.add_column(name, justify="right")
    for _, run, _ in runs:
        for outcome in run.outcomes:
            stages.add_row(outcome.case, *(f"{outcome.seconds.get(name, 0):.2f}" for name in names))
    terminal.print(stages)
    terminal.print()
    for model, run, folder in runs:
        terminal.print(f"{model}: {run.seconds:.1f} s with loading; files in {folder}")
        for outcome in run.outcomes:
            terminal.print(f"  {_files(outcome)}")
    terminal.print("\nOpen a sheet.png to look at the masks. Research use only.")


def _files(outcome: Outcome) -> str:
    if outcome.why:
        return f"{outcome.case}: {outcome.status}: {outcome.why}"
    names = ", ".join(output["file"] for output in outcome.outputs.values())
    return f"{outcome.case}/ {names}"


def _as_json(runs: list[tuple[str, Run, Path]], compared: list[Compared]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "status": max(run.exit_status for _, run, _ in runs),
        "compared": [asdict(row) for row in compared],
        "runs": [
            {"model": model, "seconds": round(run.seconds, 2), "out": str(folder),
             "cases": [outcome.as_json() for outcome in run.outcomes]}
            for model, run, folder in runs
        ],
    }  # fmt: skip
