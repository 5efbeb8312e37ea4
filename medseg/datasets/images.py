"""Labelled images: whole scans or pictures, each of one class, in the layouts people have."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.errors import InputRefused
from medseg.reading.forms import form_of
from medseg.reading.image import read_image
from medseg.reading.picture import is_picture, volume_of_pixels
from medseg.reading.pixel_archive import SUFFIX, arrays_of, images_of
from medseg.volume import Volume

PARTS = ("train", "val", "test")
COLUMNS = ("case", "image", "label")


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class LabelledImage:
    """One image and its class.

    Attributes
    ----------
    name : str
        Unique in its data set.
    label : int
        Number of its class, from 0.
    image : Path or array
        A file or DICOM folder, or pixels ``(rows, columns[, C])``.
    group : str
        What may not be divided between training and judging, such as the patient; private.
        The case's own name where nothing is known.
    part : {"train", "val", "test", ""}
        Of the data set's own split; empty where it brings none.
    """

    name: str
    label: int
    image: Path | np.ndarray
    group: str
    part: str = ""

    def read(self) -> Volume:
        """Read the image.

        Raises
        ------
        InputRefused
            Of :mod:`medseg.reading`; the words name the case.
        """
        with named(self.name):
            if isinstance(self.image, np.ndarray):
                return volume_of_pixels(self.image, self.name)
            return read_image(self.image)


class named:
    """Say of which case a refusal inside the block is."""

    def __init__(self, case: str) -> None:
        self.case = case

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InputRefused):
            raise InputRefused(error.code, f"Case {self.case}: {error.found}",
                               do=error.do) from error  # fmt: skip


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """A data set for classification, sorted by part and name.

    Attributes
    ----------
    name : str
    cases : tuple of LabelledImage
    classes : tuple of str
        Names; a case's label is a place in it.
    """

    name: str
    cases: tuple[LabelledImage, ...]
    classes: tuple[str, ...]

    def part(self, *parts: str) -> tuple[LabelledImage, ...]:
        """Return the cases of these parts of the data set's own split."""
        return tuple(case for case in self.cases if case.part in parts)

    @property
    def is_split(self) -> bool:
        """Whether it brings a split of its own, with something to train on and to hold out."""
        return bool(self.part("train") and self.part("val"))

    def counts(self, cases: Iterable[LabelledImage] | None = None) -> dict[str, int]:
        """Return how many cases, of all or of these, each class has."""
        numbers = Counter(case.label for case in (self.cases if cases is None else cases))
        return {name: numbers[label] for label, name in enumerate(self.classes)}


def open_images(path: str | Path, classes: Sequence[str] | None = None) -> LabelledImages:
    """Open a data set of labelled images; images themselves are not read yet.

    Parameters
    ----------
    path : str or Path
        A table (CSV: ``case,image,label`` and, as known, ``group`` and ``split``; images count
        from its folder), an ``.npz`` in MedMNIST's layout (``train_images``,
        ``train_labels``, ``val_...``, ``test_...`` and, as known, ``..._names``,
        ``..._groups`` and ``class_names``), or a folder with a folder for each class, or with
        ``train``, ``val`` and ``test`` that each have them.
    classes : sequence of str, optional
        Names in the order of the network's output; of an ``.npz`` the names of its numbers.
        Those of the data set in alphabetical or numerical order when left out.

    Raises
    ------
    InputRefused
        ``path-missing``, ``dataset-unknown``; ``dataset-invalid``: what is wrong, and in which
        case; ``label-unknown``: a label is not among the classes; ``class-small``: a class has
        fewer than two cases; ``case-repeated``; ``group-divided``: one group in two parts.
    """
    dataset = listed_images(path, classes)
    for problem in problems(dataset):
        raise problem
    return dataset


def listed_images(path: str | Path, classes: Sequence[str] | None = None) -> LabelledImages:
    """Open a data set as :func:`open_images`, with all that is wrong between its cases."""
    path = Path(path)
    if not path.exists():
        raise InputRefused("path-missing", "There is no data set at this path",
                           do="Check how it is written, or mount its disk")  # fmt: skip
    return _layout(path)(path, classes)


def is_labelled_images(path: Path) -> bool:
    """Return whether a path looks like a data set for classification, without reading images.

    A table whose first label is a file is one of masks.
    """
    if path.is_dir():
        return not (path / "dataset.json").exists() and _holds_class_folders(path)
    if path.suffix.lower() != ".csv":
        return path.suffix.lower() == SUFFIX
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            first = next(csv.DictReader(stream), None)
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    if first is None or not set(COLUMNS) <= set(first):
        return False
    return not (path.parent / (first["label"] or "")).is_file()


def _holds_class_folders(path: Path) -> bool:
    """Return whether every folder holds pictures or files of volumes, not one study's DICOM."""
    homes = [path / part for part in PARTS if (path / part).is_dir()] or [path]
    folders = [folder for home in homes for folder in _class_folders(home)]
    return len(folders) > 1 and all(
        any(is_picture(file) or form_of(file) for file in folder.iterdir()) for folder in folders
    )


Layout = Callable[[Path, Sequence[str] | None], LabelledImages]


def _layout(path: Path) -> Layout:
    if path.is_dir() and not (path / "dataset.json").exists():
        return _of_folders
    layout = {".csv": _of_table, SUFFIX: _of_arrays}.get(path.suffix.lower())
    if layout is None or path.is_dir():
        raise InputRefused(
            "dataset-unknown", "This is no data set for classification",
            do="Give a CSV with case, image and label, an .npz, or a folder for each class",
        )  # fmt: skip
    return layout


def _of_table(path: Path, classes: Sequence[str] | None) -> LabelledImages:
    rows = _rows(path)
    names = _classes((row["label"] for row in rows), classes)
    cases = []
    for row in rows:
        image, part = path.parent / row["image"], row.get("split", "")
        if not image.exists():
            raise InputRefused("dataset-invalid", f"Case {row['case']}: its image is not there",
                               do="Complete the data set or take the row out")  # fmt: skip
        if part not in ("", *PARTS):
            raise InputRefused("dataset-invalid", f"Case {row['case']}: split is {part!r}",
                               do=f"Use one of {', '.join(PARTS)}, or leave it empty")  # fmt: skip
        label = _number(row["label"], names, row["case"])
        group = row.get("group", "") or row["case"]
        cases.append(LabelledImage(row["case"], label, image, group, part))
    return LabelledImages(path.stem, _sorted(cases), names)


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table with trimmed values, having checked that they can be used."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            lacking = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            rows = [{key: (value or "").strip() for key, value in row.items() if key}
                    for row in reader]  # fmt: skip
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputRefused("dataset-invalid", f"The table cannot be read: {type(error).__name__}",
                           do="Save it as CSV in UTF-8") from None  # fmt: skip
    if lacking:
        raise InputRefused("dataset-invalid", f"The table has no column {', '.join(lacking)}",
                           do="Give case, image, label and, as known, group and split"
                           )  # fmt: skip
    for number, row in enumerate(rows, 2):
        if empty := [name for name in COLUMNS if not row[name]]:
            raise InputRefused("dataset-invalid", f"Line {number} of the table has no {empty[0]}",
                               do="Fill it in or take the row out")  # fmt: skip
    return rows


def _of_arrays(path: Path, classes: Sequence[str] | None) -> LabelledImages:
    arrays = arrays_of(path)
    images = images_of(arrays)
    labels = {part: _labels(arrays, part, len(of_part)) for part, of_part in images.items()}
    told = arrays.get("class_names")
    if classes is None and told is not None:
        classes = [str(name) for name in told.ravel()]
    if classes is None:
        present = np.unique(np.concatenate(list(labels.values())))
        classes = [str(n) for n in range(int(present.max()) + 1)]
    cases = []
    for part, of_part in images.items():
        groups = arrays.get(f"{part}_groups" if part else "groups")
        for n, (name, pixels) in enumerate(of_part):
            label = int(labels[part][n])
            if label >= len(classes):
                raise _unknown(str(label), classes, name)
            group = name if groups is None else str(groups.ravel()[n])
            cases.append(LabelledImage(name, label, pixels, group, part))
    return LabelledImages(path.stem, _sorted(cases), tuple(classes))


def _labels(arrays: dict[str, np.ndarray], part: str, count: int) -> np.ndarray:
    """Return the class number of each image of a part."""
    key = f"{part}_labels" if part else "labels"
    labels = arrays.get(key)
    if labels is None or labels.size != count:
        found = "no labels" if labels is None else f"labels of shape {labels.shape}"
        raise InputRefused("dataset-invalid", f"{count} images have {found} ({key})",
                           do="Give one class number an image")  # fmt: skip
    if labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
        raise InputRefused("dataset-invalid", f"{key} holds {labels.dtype} numbers",
                           do="Give class numbers from 0")  # fmt: skip
    return labels.ravel()


def _of_folders(path: Path, classes: Sequence[str] | None) -> LabelledImages:
    parts = {part: path / part for part in PARTS if (path / part).is_dir()} or {"": path}
    found = [(part, folder) for part, home in parts.items() for folder in _class_folders(home)]
    if not found:
        raise InputRefused("dataset-unknown", "The folder holds no folder of images",
                           do="Make a folder for each class, named like it")  # fmt: skip
    names = _classes((folder.name for _, folder in found), classes)
    cases = []
    for part, folder in found:
        for image in _images(folder):
            name = "-".join(filter(None, (part, folder.name, image.name.split(".")[0])))
            label = _number(folder.name, names, name)
            cases.append(LabelledImage(name, label, image, name, part))
    return LabelledImages(path.name, _sorted(cases), names)


def _class_folders(home: Path) -> list[Path]:
    return [folder for folder in sorted(home.iterdir())
            if folder.is_dir() and not folder.name.startswith(".") and any(folder.iterdir())
            ]  # fmt: skip


def _images(folder: Path) -> list[Path]:
    """Return the images of a class: its files, and its folders as one DICOM series each."""
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]


def _classes(labels: Iterable[str], told: Sequence[str] | None) -> tuple[str, ...]:
    if told is not None:
        return tuple(told)
    found = set(labels)
    if all(name.isdigit() for name in found):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found))


def _number(label: str, classes: Sequence[str], case: str) -> int:
    if label not in classes:
        raise _unknown(label, classes, case)
    return classes.index(label)


def _unknown(label: str, classes: Sequence[str], case: str) -> InputRefused:
    return InputRefused(
        "label-unknown", f"Case {case}: the label {label!r} is none of {', '.join(classes)}",
        do="Correct the label, or name the class in the config's classes",
    )  # fmt: skip


def _sorted(cases: Iterable[LabelledImage]) -> tuple[LabelledImage, ...]:
    order = {part: number for number, part in enumerate(("", *PARTS))}
    return tuple(sorted(cases, key=lambda case: (order[case.part], case.name)))


def problems(dataset: LabelledImages) -> Iterator[InputRefused]:
    """Yield why no training on a data set could be judged, see :func:`open_images`."""
    for name, count in Counter(case.name for case in dataset.cases).items():
        if count > 1:
            yield InputRefused("case-repeated", f"Case {name} comes {count} times",
                               do="Give every image a name of its own")  # fmt: skip
    for name, count in dataset.counts().items():
        if count < 2:
            yield InputRefused(
                "class-small", f"Class {name} has {count or 'no'} case{'s' * (count != 1)}",
                do="Add cases, or leave the class out: one trains, another one judges",
            )  # fmt: skip
    if divided := divided_groups(dataset):
        one, other = divided[0]
        yield InputRefused(
            "group-divided",
            f"{len(divided)} group(s) lie in two parts of the split, as that of case "
            f"{one.name} ({one.part}) and {other.name} ({other.part})",
            do="Keep all images of a patient in one part",
        )  # fmt: skip


def divided_groups(dataset: LabelledImages) -> list[tuple[LabelledImage, LabelledImage]]:
    """Return for each group that lies in two parts of the split a case of either."""
    members: dict[str, list[LabelledImage]] = defaultdict(list)
    for case in dataset.cases:
        members[case.group].append(case)
    found = []
    for cases in members.values():
        other = [case for case in cases if case.part != cases[0].part]
        if other:
            found.append((cases[0], other[0]))
    return found
