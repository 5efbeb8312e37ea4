"""Make everything in this folder anew, byte for byte.

python data_samples/make_samples.py
python data_samples/make_samples.py --hippocampus Task04_Hippocampus --cases NAME NAME
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from medseg.files import make_folder, sha256, whole_file
from medseg.phantoms.study import truth_path, write_study

HERE = Path(__file__).resolve().parent
PHANTOM = "ct_tumor_phantom"
PHANTOM_SEED = 13  # below a million: no training set of phantoms holds this patient
HIPPOCAMPUS = "hippocampus"


def make_phantom(folder: Path) -> Path:
    """Write the CT study into ``folder`` and its truth beside it; return the study."""
    study = folder / PHANTOM
    shutil.rmtree(study, ignore_errors=True)  # of an older recipe with more slices
    write_study(study, PHANTOM_SEED)
    return study


def copy_hippocampus(source: Path, cases: Sequence[str], folder: Path) -> None:
    """Copy images and reference labels of MSD Task04, as they are.

    Parameters
    ----------
    source : Path
        The unpacked task, with ``imagesTr`` and ``labelsTr``.
    cases : sequence of str
        Names such as ``"hippocampus_001"``, of the fold held out from the shipped model.
    folder : Path
        Gets ``hippocampus/images`` and ``hippocampus/labels``.
    """
    target = folder / HIPPOCAMPUS
    shutil.rmtree(target, ignore_errors=True)
    for theirs, ours in (("imagesTr", "images"), ("labelsTr", "labels")):
        make_folder(target / ours)
        for case in cases:
            name = f"{case}.nii.gz"
            with whole_file(target / ours / name) as aside:
                shutil.copyfile(source / theirs / name, aside)


def main() -> None:
    """Read the arguments, make the samples and print their hashes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hippocampus", type=Path, metavar="DIR", help="unpacked MSD Task04")
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="such as hippocampus_001")
    arguments = parser.parse_args()
    if bool(arguments.hippocampus) != bool(arguments.cases):
        parser.error("--hippocampus and --cases go together")
    study = make_phantom(HERE)
    made = [*sorted(study.iterdir()), truth_path(study)]
    if arguments.hippocampus:
        copy_hippocampus(arguments.hippocampus, arguments.cases, HERE)
        made += sorted((HERE / HIPPOCAMPUS).rglob("*.nii.gz"))
    for path in made:
        print(sha256(path), path.relative_to(HERE))


if __name__ == "__main__":
    main()
