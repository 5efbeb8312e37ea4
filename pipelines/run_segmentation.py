"""Segment one scan: read it, predict, write the mask on the scan's own grid.

    python pipelines/run_segmentation.py STUDY --model hippocampus-mr --out results
    python pipelines/run_segmentation.py scan.nii.gz --model runs/mine/model --formats nifti png

SCAN is a DICOM folder or file, or a NIfTI file. Writes OUT/<case>/ as `medseg segment` does.
"""

import argparse
import sys
from pathlib import Path

import medseg
from medseg.exporting import FORMATS, write


def main() -> int:
    """Segment the scan that the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", type=Path)
    parser.add_argument("--model", required=True, help="shipped name, or folder of a package")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--series", metavar="RULE", help="such as modality=CT,thickness<=3")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=["nifti", "seg", "png"])
    arguments = parser.parse_args()
    try:
        volume = medseg.read(arguments.scan, arguments.series)
        segmenter = medseg.Segmenter.load(arguments.model)
        result = segmenter.predict(volume, probabilities="probabilities" in arguments.formats)
        folder = arguments.out / volume.source.case
        paths, findings = write(result, folder, arguments.formats)
    except medseg.MedsegError as error:
        print(f"{error} [{error.code}]", file=sys.stderr)
        return 3 if isinstance(error, medseg.InputRefused) else 5
    for name, ml in result.labels.volumes_ml().items():
        print(f"{name}: {ml:.2f} ml")
    for finding in (*result.findings, *findings):
        print(finding)
    for path in paths.values():
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
