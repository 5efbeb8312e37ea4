"""Segment every scan of a tree of studies with one loaded model.

    python pipelines/batch_study_folder.py ARCHIVE --model hippocampus-mr --out results
    python pipelines/batch_study_folder.py ARCHIVE --model hippocampus-mr --out results --resume

Writes OUT/<case>/ and OUT/run.json as `medseg segment` does. A scan that is refused does not
stop the others. Ends with 0 when all is done, 3 refused, 5 failed, 6 some of several.
"""

import argparse
import sys
from pathlib import Path

import medseg


def main() -> int:
    """Segment what lies under the folder that the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("--model", required=True, help="shipped name, or folder of a package")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--series", metavar="RULE", help="such as modality=CT,thickness<=3")
    parser.add_argument("--resume", action="store_true", help="skip what is done already")
    arguments = parser.parse_args()
    try:
        run = medseg.segment(
            arguments.archive,
            model=arguments.model,
            out=arguments.out,
            series=arguments.series,
            resume=arguments.resume,
        )
    except medseg.MedsegError as error:
        print(f"{error} [{error.code}]", file=sys.stderr)
        return 3 if isinstance(error, medseg.InputRefused) else 5
    width = max(len(outcome.case) for outcome in run.outcomes)
    for outcome in run.outcomes:
        volumes = ", ".join(f"{name} {ml:.2f} ml" for name, ml in outcome.volumes_ml.items())
        print(f"{outcome.case:{width}}  {outcome.status:8}  {outcome.why or volumes}")
    print(f"{run.count('done', 'resumed')} of {len(run.outcomes)} segmented, {run.seconds:.1f} s")
    return run.exit_status


if __name__ == "__main__":
    sys.exit(main())
