"""The layout of the Medical Segmentation Decathlon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medseg.datasets.dataset import Case, Dataset
from medseg.datasets.description import read_description
from medseg.errors import InputRefused
from medseg.labels import Label, LabelSet

MODALITIES = {"MRI": "MR", "PET": "PT"}  # the Decathlon's words; CT is CT


def description(folder: Path) -> dict[str, Any] | None:
    """Return ``dataset.json`` if it is of this layout: it lists its training pairs."""
    content = read_description(folder)
    return content if content and "training" in content else None


def dataset(folder: Path, content: dict[str, Any]) -> Dataset:
    """Return the data set that ``dataset.json`` describes.

    Raises
    ------
    InputRefused
        ``dataset-invalid``: a needed key is missing or of another kind.
    """
    try:
        channels = tuple(name for _, name in sorted(content["modality"].items()))
        names = {int(value): str(name) for value, name in content["labels"].items()}
        cases = [_case(folder, pair, len(channels)) for pair in content["training"]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputRefused(
            "dataset-invalid", f"dataset.json is not of the Decathlon's layout: {error!r}"
        ) from error
    labels = LabelSet(tuple(Label(value, name) for value, name in names.items() if value))
    channels = tuple(MODALITIES.get(name, name) for name in channels)
    by_name = sorted(cases, key=lambda case: case.name)
    return Dataset(str(content.get("name", folder.name)), tuple(by_name), channels, labels)


def _case(folder: Path, pair: dict[str, str], channels: int) -> Case:
    image = folder / pair["image"]
    volumes: list[int | None] = [None] if channels == 1 else list(range(channels))
    name = image.name.removesuffix(".gz").removesuffix(".nii")
    return Case(name, tuple((image, volume) for volume in volumes), folder / pair["label"])
