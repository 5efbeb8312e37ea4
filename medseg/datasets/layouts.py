"""Opening a data set in any of the layouts that are known."""

from __future__ import annotations

from pathlib import Path

from medseg.datasets import msd, nnunet
from medseg.datasets.dataset import Dataset
from medseg.errors import InputRefused


def open_dataset(folder: str | Path) -> Dataset:
    """Open a folder in the layout of the Medical Segmentation Decathlon or of nnU-Net raw.

    Raises
    ------
    InputRefused
        ``dataset-unknown``: no ``dataset.json`` of either kind. ``dataset-invalid``: it names
        files that are not there, or nothing. The words name the first one.
    """
    folder = Path(folder)
    for layout in (msd, nnunet):
        content = layout.description(folder)
        if content is not None:
            dataset = layout.dataset(folder, content)
            _check_files(dataset)
            return dataset
    raise InputRefused(
        "dataset-unknown",
        f"{folder.name or folder} holds no dataset.json of a known layout",
        do="Give a folder in the layout of the Medical Segmentation Decathlon or of nnU-Net raw",
    )


def _check_files(dataset: Dataset) -> None:
    if not dataset.cases:
        raise InputRefused("dataset-invalid", f"{dataset.name} lists no labelled case")
    for case in dataset.cases:
        for path in (*(path for path, _ in case.images), case.label):
            if not path.is_file():
                raise InputRefused(
                    "dataset-invalid", f"Case {case.name}: {path.name} is not there",
                    do="Complete the data set or take the case out of dataset.json",
                )  # fmt: skip
