"""Opening a data set in any of the layouts that are known."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from medseg.datasets import manifest, msd, nnunet, studies
from medseg.datasets.dataset import Case, Dataset
from medseg.errors import InputRefused, PlanRefused


def open_dataset(path: str | Path, patient: str | None = None) -> Dataset:
    """Open a data set: MSD, nnU-Net raw, a manifest, or DICOM studies with their labels.

    Parameters
    ----------
    path : str or Path
        A folder with ``dataset.json`` in the layout of the Medical Segmentation Decathlon or
        of nnU-Net raw; a manifest (``.csv``, ``.yaml``) or a folder with one called
        ``dataset.csv`` or ``dataset.yaml``; or a folder of DICOM studies with RTSTRUCT or SEG.
    patient : str, optional
        A regular expression that finds the patient in the name of a case: its first group,
        or all that it matches. It wins over what the data set says.

    Raises
    ------
    InputRefused
        ``dataset-unknown``: none of these layouts. ``dataset-invalid``: it names files that
        are not there, or nothing; the words name the first one. ``patient-unknown``: a case
        in whose name no patient is found. Others of :mod:`medseg.datasets.studies`.
    PlanRefused
        ``settings-invalid``: of a manifest, with its line; or of the expression.
    """
    path = Path(path)
    dataset = _opened(path)
    _check_files(dataset)
    _check_names(dataset)
    return dataset if patient is None else _with_patients(dataset, patient)


def _opened(path: Path) -> Dataset:
    if path.is_file():
        return manifest.dataset(path)
    for layout in (msd, nnunet):
        content = layout.description(path)
        if content is not None:
            return layout.dataset(path, content)
    for name in ("dataset.yaml", "dataset.csv"):
        if (path / name).is_file():
            return manifest.dataset(path / name)
    if path.is_dir() and (found := studies.dataset(path)) is not None:
        return found
    raise InputRefused(
        "dataset-unknown",
        f"{path.name or path} holds no dataset.json of a known layout, no manifest and no DICOM "
        "scans with their SEG or RTSTRUCT",
        do="Give a folder in the layout of the Medical Segmentation Decathlon or of nnU-Net raw, "
        "a manifest (docs/datasets.md), or a folder of DICOM studies",
    )


def _check_files(dataset: Dataset) -> None:
    if not dataset.cases:
        raise InputRefused("dataset-invalid", f"{dataset.name} lists no labelled case")
    for case in dataset.cases:
        for path in (*(path for path, _ in case.images), case.label):
            if not path.exists():
                raise InputRefused(
                    "dataset-invalid", f"Case {case.name}: {path.name} is not there",
                    do="Complete the data set or take the case out of its list",
                )  # fmt: skip


def _check_names(dataset: Dataset) -> None:
    names = [case.name for case in dataset.cases]
    for first, second in pairwise(names):
        if first == second:
            raise InputRefused(
                "dataset-invalid", f"Case {first} is listed twice",
                do="Give every case a name of its own",
            )  # fmt: skip
    known = set(names)
    for fold in dataset.folds:
        if strange := sorted({*fold.train, *fold.held_out} - known):
            raise InputRefused(
                "dataset-invalid", f"The split names {strange[0]}, which is no case",
                do="Make the split anew, or take it away",
            )  # fmt: skip


def _with_patients(dataset: Dataset, pattern: str) -> Dataset:
    try:
        finder = re.compile(pattern)
    except re.error as error:
        raise PlanRefused(
            "settings-invalid", f"The pattern {pattern!r} is no regular expression: {error}"
        ) from error
    return replace(
        dataset,
        cases=tuple(replace(case, patient=_patient(case, finder)) for case in dataset.cases),
    )


def _patient(case: Case, finder: re.Pattern[str]) -> str:
    found = finder.search(case.name)
    patient = found and (found[1] if finder.groups else found[0])
    if not patient:
        raise InputRefused(
            "patient-unknown",
            f"Case {case.name}: the pattern {finder.pattern!r} finds no patient in its name",
            do=r"Write one that fits every name, such as '^([^_]+)_'",
        )
    return patient
