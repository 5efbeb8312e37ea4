"""The raw layout of nnU-Net v2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medseg.datasets.dataset import Case, Dataset
from medseg.datasets.description import read_description
from medseg.errors import InputRefused
from medseg.labels import Label, LabelSet


def description(folder: Path) -> dict[str, Any] | None:
    """Return ``dataset.json`` if it is of this layout: it names a file ending."""
    content = read_description(folder)
    return content if content and "file_ending" in content else None


def dataset(folder: Path, content: dict[str, Any]) -> Dataset:
    """Return the data set: every label in ``labelsTr`` with its images in ``imagesTr``.

    Raises
    ------
    InputRefused
        ``dataset-invalid``: a needed key is missing, or labels are regions.
    """
    try:
        ending = str(content["file_ending"])
        names = content.get("channel_names") or content["modality"]
        channels = tuple(name for _, name in sorted(names.items(), key=lambda one: int(one[0])))
        values = {str(name): int(value) for name, value in content["labels"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputRefused(
            "dataset-invalid",
            f"dataset.json is not of nnU-Net's raw layout, or names regions: {error!r}",
        ) from error
    cases = []
    for label in sorted((folder / "labelsTr").glob(f"*{ending}")):
        name = label.name.removesuffix(ending)
        images = [folder / "imagesTr" / f"{name}_{n:04d}{ending}" for n in range(len(channels))]
        cases.append(Case(name, tuple((image, None) for image in images), label))
    labels = LabelSet(tuple(Label(value, name) for name, value in values.items() if value))
    return Dataset(str(content.get("name", folder.name)), tuple(cases), channels, labels)
