"""Score a folder of masks against references and write a report.

    python pipelines/evaluate_folder.py results labelsTr --out evaluation
    python pipelines/evaluate_folder.py results labelsTr --images imagesTr --labels LABELS.yaml \
        --out evaluation

Masks are paired by name: <case>.nii.gz, <case>.dcm or <case>/mask.nii.gz. Writes OUT/cases.csv,
OUT/summary.json and OUT/report.html as `medseg evaluate` does. Ends with 0 when every case has
scores, 6 when some have none, 3 when none has.
"""

import argparse
import sys
from pathlib import Path

import medseg
from medseg.evaluation import Options, load_labels


def main() -> int:
    """Evaluate what the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictions", type=Path)
    parser.add_argument("references", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--images", type=Path, help="the scans, to draw on")
    parser.add_argument("--labels", type=Path, help="LABELS.yaml: what the values mean")
    arguments = parser.parse_args()
    try:
        result = medseg.evaluate(
            arguments.predictions,
            arguments.references,
            images=arguments.images,
            out=arguments.out,
            options=Options(labels=load_labels(arguments.labels) if arguments.labels else None),
        )
    except medseg.MedsegError as error:
        print(f"{error} [{error.code}]", file=sys.stderr)
        return 3 if isinstance(error, medseg.InputRefused) else 5
    for label in result.summaries():
        dice, hd95 = label.scores["dice"], label.scores["hd95_mm"]
        print(f"{label.name}: Dice {dice.mean:.3f} [{dice.low:.3f}, {dice.high:.3f}], "
              f"HD95 {hd95.mean:.2f} mm, {dice.cases} cases")  # fmt: skip
    for case in result.failed:
        print(f"{case.case}: {case.refusal}", file=sys.stderr)
    print(f"{len(result.done)} of {len(result.cases)} cases; read {arguments.out / 'report.html'}")
    return result.exit_status


if __name__ == "__main__":
    sys.exit(main())
