"""The raw layout of nnU-Net v2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medseg.datasets.dataset import Case, Dataset
from medseg.datasets.description import read_description, read_json
from medseg.datasets.splits import Fold
from medseg.errors import InputRefused
from medseg.labels import Label, LabelSet


def description(folder: Path) -> dict[str, Any] | None:
    """Return ``dataset.json`` if it is of this layout: it names a file ending."""
    content = read_description(folder)
    return content if content and "file_ending" in content else None


def dataset(folder: Path, content: dict[str, Any]) -> Dataset:
    """Return the data set: every label in ``labelsTr`` with its images in ``imagesTr``.

    Where ``dataset.json`` lists cases itself (its key ``dataset``), those are taken. A label of
    several values is a region: then every label is, and the values have plain labels beside.
    ``splits_final.json`` in the folder is the split.

    Raises
    ------
    InputRefused
        ``dataset-invalid``: a needed key is missing, or regions come without their order.
    """
    try:
        ending = str(content["file_ending"])
        names = content.get("channel_names") or content["modality"]
        channels = tuple(name for _, name in sorted(names.items(), key=lambda one: int(one[0])))
        told = {str(name): _values(value) for name, value in content["labels"].items()}
        order = [int(value) for value in content.get("regions_class_order") or ()]
        listed = content.get("dataset")
        cases = (_listed(folder, listed) if listed else
                 _in_folders(folder, ending, len(channels)))  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputRefused(
            "dataset-invalid", f"dataset.json is not of nnU-Net's raw layout: {error!r}"
        ) from error
    ignore = told.pop("ignore", (None,))[0]
    foreground = {name: values for name, values in told.items() if values != (0,)}
    labels = _labels(foreground, order)
    return Dataset(str(content.get("name", folder.name)), tuple(cases), channels, labels,
                   ignore, _folds(folder))  # fmt: skip


def _values(told: Any) -> tuple[int, ...]:
    return tuple(map(int, told)) if isinstance(told, list) else (int(told),)


def _in_folders(folder: Path, ending: str, channels: int) -> list[Case]:
    cases = []
    for label in sorted((folder / "labelsTr").glob(f"*{ending}")):
        name = label.name.removesuffix(ending)
        images = [folder / "imagesTr" / f"{name}_{n:04d}{ending}" for n in range(channels)]
        cases.append(Case(name, tuple((image, None) for image in images), label))
    return sorted(cases, key=lambda case: case.name)


def _listed(folder: Path, listed: dict[str, Any]) -> list[Case]:
    return [
        Case(name, tuple((folder / image, None) for image in one["images"]), folder / one["label"])
        for name, one in sorted(listed.items())
    ]


def _labels(told: dict[str, tuple[int, ...]], order: list[int]) -> LabelSet:
    """Return plain labels; or where some are regions, those too, in the order of painting.

    Regions take the next free numbers as values, since their own values are the plain ones'.
    """
    if all(len(values) == 1 for values in told.values()):
        return LabelSet(tuple(Label(value, name) for name, (value,) in told.items()))
    fits = len(order) == len(told) and all(
        value in values for value, values in zip(order, told.values(), strict=True)
    )
    if not fits:
        raise InputRefused(
            "dataset-invalid",
            f"The {len(told)} regions of dataset.json do not go with the {len(order)} values of "
            "its regions_class_order",
            do="Give for each region, in their order, the value that it is painted with",
        )
    values = sorted({value for region in told.values() for value in region})
    plain = [Label(value, f"Label {value}") for value in values]
    regions = [Label(values[-1] + n, name, region=region)
               for n, (name, region) in enumerate(told.items(), start=2)]  # fmt: skip
    return LabelSet((*plain, *regions))


def _folds(folder: Path) -> tuple[Fold, ...]:
    content = read_json(folder / "splits_final.json")
    if content is None:
        return ()
    try:
        return tuple(
            Fold(tuple(map(str, sorted(one["train"]))), tuple(map(str, sorted(one["val"]))))
            for one in content
        )
    except (KeyError, TypeError) as error:
        raise InputRefused(
            "dataset-invalid", f"splits_final.json is no list of train and val: {error!r}"
        ) from error
