"""``medseg evaluate``: predictions against references, masks or classes, with a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from medseg.evaluation import Classification, Evaluation, Options
    from medseg.evaluation.classification import Score
    from medseg.evaluation.statistics import Summary

EPILOG = """\b
Examples:
  medseg evaluate results labelsTr --out evaluation
  medseg evaluate results labelsTr --images imagesTr --labels LABELS.yaml -o evaluation
  medseg evaluate pairs.csv -o evaluation --tolerance 2 --lesions
  medseg evaluate results labelsTr -o evaluation --by scanner --table meta.csv
  medseg evaluate --task classify predictions.csv labels.csv --images pictures -o evaluation

\b
PREDICTIONS and REFERENCES are folders with <case>.nii.gz, <case>.dcm (SEG or RTSTRUCT) or
<case>/mask.nii.gz in them, single files, or a manifest: a CSV with the columns case,
prediction, reference and, if you like, image, probabilities, patient and others.

\b
With --task classify both are tables: PREDICTIONS has the columns case and one of
probabilities for each class (or case, label, probability), REFERENCES case, label and, if
you like, patient or group, image and others.

\b
Writes OUT/cases.csv (a row a case and label), OUT/summary.json and OUT/report.html.
Ends with 0 when every case has scores, 6 when some have none, 3 when none has.
docs/evaluation.md says what each score means.
"""

POLICIES = ("medseg", "perfect", "infinite", "ignored")
DIALECTS = ("medseg", "monai", "medpy")
ON_SCREEN = ("auc", "sensitivity", "specificity", "precision")  # of each class
SHOWN = 10  # classified cases without scores on the screen; the report has them all


def judging(command: Any) -> Any:
    """Add the options that say how cases are judged; `compare` takes the same."""
    for option in reversed((
        click.option("--images", type=click.Path(path_type=Path),
                     help="Scans: to draw on, to fill RTSTRUCT on, to group by."),
        click.option("--labels", type=click.Path(path_type=Path), metavar="LABELS.yaml",
                     help="What the values mean, and regions: a list of value, name, ..."),
        click.option("--ignore", type=click.IntRange(1), metavar="VALUE",
                     help="Value in the references of voxels that nobody labelled."),
        click.option("--tolerance", "tolerances", multiple=True, type=float, metavar="MM",
                     help="Of the surface Dice; repeat for more. 1 mm is always there."),
        click.option("--empty", type=click.Choice(POLICIES), default="medseg",
                     show_default=True, help="What empty masks score, see below."),
        click.option("--hd95", type=click.Choice(DIALECTS), default="medseg",
                     show_default=True, help="Whose definition of HD95."),
        click.option("--lesions", is_flag=True, help="Compare lesion by lesion too."),
        click.option("--resample", is_flag=True,
                     help="Take predictions on another grid, by nearest voxel, and say so."),
        click.option("--table", type=click.Path(path_type=Path), metavar="META.csv",
                     help="What is known of each case: columns case, patient and others."),
        click.option("--overwrite", is_flag=True, help="Replace earlier results."),
        click.option("--json", "as_json", is_flag=True,
                     help="Print one JSON object instead of a table."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.command(epilog=EPILOG)
@click.argument("predictions", type=click.Path(path_type=Path))
@click.argument("references", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path),
              help="Folder for the results; made if missing.")  # fmt: skip
@click.option("--task", type=click.Choice(["segment", "classify"]), default="segment",
              show_default=True, help="What was predicted: masks or classes.")  # fmt: skip
@click.option("--by", metavar="COLUMN", help="Summarise by groups too: a column of the manifest "
              "or of --table, a DICOM attribute such as Manufacturer, or spacing.")  # fmt: skip
@click.option("--missing-as-empty", is_flag=True,
              help="A missing prediction counts as one that found nothing.")  # fmt: skip
@judging
@click.pass_context
def command(
    context: click.Context, predictions: Path, references: Path | None, out: Path, task: str,
    images: Path | None, by: str | None, table: Path | None, overwrite: bool, as_json: bool,
    **choices: Any,
) -> int:  # fmt: skip
    """Score PREDICTIONS against REFERENCES, case by case and label by label.

    Cases are paired by name. Both masks must lie on one grid. Empty masks: by the policy
    "medseg" both empty is not counted, a miss or a false alarm scores Dice 0 and the diagonal
    of the image as its distances; "perfect" gives 1 and 0 mm where both are empty; "infinite"
    makes distances to nothing infinite; "ignored" leaves misses and false alarms out.
    """
    from medseg.cli.console import print_json
    from medseg.cli.progress import Report
    from medseg.evaluation import evaluate
    from medseg.evaluation.tables import as_json as summary_json

    if task == "classify":
        _refuse_choices_of_masks(context, choices)
        return _classes(predictions, references, as_json, out=out, images=images, by=by,
                        table=table, overwrite=overwrite)  # fmt: skip
    with Report() as report:
        result = evaluate(
            predictions, references, out=out, images=images, options=options_of(**choices), by=by,
            table=table, overwrite=overwrite,
            progress=lambda done, total, case: report.show("Evaluating", done, total, case),
        )  # fmt: skip
    if as_json:
        print_json({**summary_json(result), "out": str(out)})
    else:
        show(result, out)
    return result.exit_status


def _refuse_choices_of_masks(context: click.Context, choices: dict[str, Any]) -> None:
    from click.core import ParameterSource

    given = [
        option.opts[0] for option in context.command.params
        if option.name in choices
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]  # fmt: skip
    if given:
        raise click.UsageError(f"{given[0]} says how masks are judged, not classes.")


def _classes(
    predictions: Path, references: Path | None, as_json: bool, *, out: Path, **more: Any
) -> int:
    from medseg.cli.console import print_json
    from medseg.evaluation import evaluate_classes
    from medseg.evaluation.classification_report import as_json as summary_json

    if references is None:
        raise click.UsageError("--task classify needs REFERENCES: a CSV with case and label.")
    result = evaluate_classes(predictions, references, out=out, **more)
    if as_json:
        print_json({**summary_json(result), "out": str(out)})
    else:
        show_classes(result, out)
    return result.exit_status


def show_classes(result: Classification, out: Path) -> None:
    """Print the scores of all classes, a row a class, the cases without scores, and where."""
    from rich.table import Table

    from medseg.cli.console import console
    from medseg.evaluation.classification_report import OF_CLASS, OVERALL

    terminal = console()
    together = Table(box=None, pad_edge=False, show_header=False)
    for column in OVERALL:
        together.add_row(column.title, _score(result.overall[column.key], " "))
    terminal.print(together)
    terminal.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("class", overflow="fold")
    columns = [column for column in OF_CLASS if column.key in ON_SCREEN]
    for name in ("cases", *(column.title for column in columns)):
        table.add_column(name, justify="right", no_wrap=True)
    for one in result.by_class:
        cells = [_score(one.scores[column.key], "\n") for column in columns]
        table.add_row(one.name, str(one.cases), *cells)
    terminal.print(table)
    for case, refusal in result.refused[:SHOWN]:
        terminal.print(f"{case}: {refusal} [{refusal.code}]", style="bold red")
    if len(result.refused) > SHOWN:
        terminal.print(f"and {len(result.refused) - SHOWN} more without scores", style="bold red")
    for finding in result.findings:
        terminal.print(f"{finding.level}: {finding.words} [{finding.code}]")
    terminal.print(f"Value with 95 % interval of {len(result.cases)} of "
                   f"{len(result.cases) + len(result.refused)} cases in {result.seconds:.1f} s; "
                   f"read {out / 'report.html'}")  # fmt: skip


def _score(one: Score, between: str) -> str:
    if one.value != one.value:
        return "-"
    interval = f"{between}[{one.low:.3f}, {one.high:.3f}]" if one.low == one.low else ""
    return f"{one.value:.3f}{interval}"


def options_of(
    labels: Path | None,
    tolerances: tuple[float, ...],
    empty: str,
    hd95: Any,
    lesions: bool,
    resample: bool,
    missing_as_empty: bool,
    ignore: int | None,
) -> Options:
    """Return how cases are judged, from what the command line says."""
    from medseg.evaluation import Options, load_labels
    from medseg.metrics import LesionRule

    return Options(
        labels=load_labels(labels) if labels else None,
        tolerances_mm=tolerances,
        empty=empty,
        hd95=hd95,
        lesions=LesionRule() if lesions else None,
        resample=resample,
        missing_as_empty=missing_as_empty,
        ignore=ignore,
    )


def show(result: Evaluation, out: Path) -> None:
    """Print a row a label, the cases without scores, and where the rest is."""
    from rich.table import Table

    from medseg.cli.console import console
    from medseg.evaluation.report import main_columns

    terminal = console()
    columns = main_columns(result)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("label", overflow="fold")
    for column in columns:
        table.add_column(column.title, justify="right")
    for name in ("cases", "both empty", "missed", "false alarm"):
        table.add_column(name, justify="right")
    for label in result.summaries():
        cells = [_cell(label.scores[column.key], column.digits) for column in columns]
        counts = [str(label.outcomes[one]) for one in ("both-empty", "missed", "false-alarm")]
        table.add_row(label.name, *cells, str(label.scores["dice"].cases), *counts)
    terminal.print(table)
    for case in result.failed:
        assert case.refusal is not None
        terminal.print(f"{case.case}: {case.refusal} [{case.refusal.code}]", style="bold red")
    warned = {finding.code: finding.words for case in result.cases for finding in case.findings
              if finding.level == "warning"}  # fmt: skip
    for code, words in warned.items():
        terminal.print(f"warning: {words} [{code}]")
    terminal.print(f"Mean with 95 % interval of {len(result.done)} of {len(result.cases)} cases "
                   f"in {result.seconds:.1f} s; read {out / 'report.html'}")  # fmt: skip


def _cell(one: Summary, digits: int) -> str:
    if not one.cases:
        return "-"
    interval = f" [{one.low:.{digits}f}, {one.high:.{digits}f}]" if one.low == one.low else ""
    return f"{one.mean:.{digits}f}{interval}"
