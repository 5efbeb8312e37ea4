"""Judge the results of a run on a page, then copy the accepted masks for export.

    python pipelines/review_export.py results
    python pipelines/review_export.py results --decisions decisions.json --to accepted

The first call writes RESULTS/worksheet.html: open it in a browser, decide, save decisions.json.
The second copies the accepted masks, each only if it is the very one that was judged, and lists
the others in TO/worksheet.json. Ends with 0, 3 refused, 5 failed, 6 some of several.
"""

import argparse
import sys
from pathlib import Path

import medseg
from medseg.review import apply, worksheet


def main() -> int:
    """Write the page, or apply what was decided on it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder that medseg segment wrote to")
    parser.add_argument("--decisions", type=Path, help="what the page saved")
    parser.add_argument("--to", type=Path, default=Path("accepted"), help="folder to be made")
    arguments = parser.parse_args()
    try:
        if arguments.decisions is None:
            page = worksheet(arguments.results, overwrite=True)
            for entry in page.entries:
                doubts = "; ".join(doubt.words for doubt in entry.doubts)
                print(f"{entry.case.name}: {doubts or 'nothing stands out'}")
            print(f"Open {page.path} in a browser")
            return page.exit_status
        applied = apply(arguments.results, arguments.decisions, arguments.to)
        for one in applied.judged:
            print(f"{one.case}: {one.fate} {one.reason}".rstrip())
        return applied.exit_status
    except medseg.MedsegError as error:
        print(f"{error} [{error.code}]", file=sys.stderr)
        return 3 if isinstance(error, medseg.InputRefused) else 5


if __name__ == "__main__":
    sys.exit(main())
