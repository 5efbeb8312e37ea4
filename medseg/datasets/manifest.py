"""Data sets described by a file: a table of cases, or YAML that names labels and channels too."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, model_validator

from medseg.datasets import studies
from medseg.datasets.dataset import Case, Dataset, Fold
from medseg.errors import InputRefused
from medseg.labels import Label, LabelSet
from medseg.plan import Frozen
from medseg.settings import load_settings

LARGEST_BYTES = 64 << 20  # of a table; a million cases
_COLUMNS = ("case", "patient", "label", "fold")


class ListedCase(Frozen):
    """One case of a manifest; paths count from the manifest's folder."""

    case: str = Field(min_length=1, pattern=r"^[^/\\]+$")
    patient: str = ""
    images: tuple[Path, ...] = Field(min_length=1, description="One for each channel")
    label: Path
    fold: int | None = Field(None, ge=0, description="In which it is held out")


class Manifest(Frozen):
    """A data set in YAML: its cases one by one, or a folder of DICOM studies."""

    name: str = ""
    cases: tuple[ListedCase, ...] | None = None
    dicom: Path | None = Field(None, description="Folder of studies with SEG or RTSTRUCT")
    channels: tuple[str, ...] | dict[str, str] = Field(
        (), description="Names; for dicom each with the rule that chooses its series"
    )
    labels: tuple[Label, ...] | None = Field(
        None, description="Values and names; those found in the label files when left out"
    )
    structures: dict[str, str] = Field(
        default_factory=dict, description="For labels in DICOM: name of a label to name pattern"
    )
    ignore: int | None = Field(None, gt=0, description="Value of voxels that nobody labelled")

    @model_validator(mode="after")
    def _either_cases_or_studies(self) -> Manifest:
        if (self.cases is None) == (self.dicom is None):
            raise ValueError("give either cases or dicom")
        if self.dicom is not None and self.channels and not isinstance(self.channels, dict):
            raise ValueError("for dicom, channels needs a rule for each name")
        if self.cases is not None and isinstance(self.channels, dict):
            raise ValueError("rules of channels are for dicom; list the names")
        return self


def dataset(path: Path) -> Dataset:
    """Return the data set that a ``.csv`` or ``.yaml`` file describes.

    Raises
    ------
    InputRefused
        ``dataset-unknown``: another kind of file. ``dataset-invalid``: a column is missing or
        unknown, or cases differ in their number of channels.
    PlanRefused
        ``settings-invalid``: names the line of the YAML and what is wrong.
    """
    if path.suffix.lower() == ".csv":
        return _listed(path, _table(path))
    if path.suffix.lower() in (".yaml", ".yml"):
        told = load_settings(path, Manifest)
        return _listed(path, told) if told.dicom is None else _studied(path, told)
    raise InputRefused("dataset-unknown", f"A {path.suffix or 'nameless'} file is no manifest",
                       do="Give a folder, a .csv or a .yaml; see docs/datasets.md")  # fmt: skip


def _studied(path: Path, told: Manifest) -> Dataset:
    assert told.dicom is not None
    channels = told.channels if isinstance(told.channels, dict) else {}
    labels = None if told.labels is None else LabelSet(told.labels)
    choice = studies.Choice(channels, labels, told.structures)
    found = studies.dataset(path.parent / told.dicom.expanduser(), choice, told.name)
    if found is None:
        raise InputRefused(
            "dataset-unknown", f"{told.dicom.name} holds no DICOM scan with its SEG or RTSTRUCT",
            do="Give the folder of scans and of what was drawn on them",
        )  # fmt: skip
    return found


def _listed(path: Path, told: Manifest) -> Dataset:
    listed = sorted(told.cases or (), key=lambda one: one.case)
    counts = sorted({len(one.images) for one in listed})
    names = tuple(told.channels) or tuple(f"channel {n}" for n in range(max(counts, default=1)))
    if counts not in ([], [len(names)]):
        odd = next(one for one in listed if len(one.images) != len(names))
        raise InputRefused(
            "dataset-invalid",
            f"Case {odd.case} has {len(odd.images)} images, the data set {len(names)} channels",
            do="Give one image for each channel",
        )
    cases = [_case(path.parent, one) for one in listed]
    labels = _found(cases, told.ignore) if told.labels is None else LabelSet(told.labels)
    patterns = studies.patterns_of(labels, told.structures)
    cases = [_with_patterns(case, patterns) for case in cases]
    return Dataset(told.name or path.stem, tuple(cases), names, labels, told.ignore,
                   _folds(listed))  # fmt: skip


def _case(folder: Path, one: ListedCase) -> Case:
    images = tuple((folder / image.expanduser(), None) for image in one.images)
    return Case(one.case, images, folder / one.label.expanduser(), one.patient)


def _with_patterns(case: Case, patterns: tuple[tuple[str, int], ...]) -> Case:
    """Return a case that knows which structures its labels are, where they lie in DICOM."""
    if not _in_dicom(case.label):
        return case
    return Case(case.name, case.images, case.label, case.patient, structures=patterns)


def _in_dicom(path: Path) -> bool:
    """Return whether a label file is a DICOM object; what cannot be read is told later."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _found(cases: Sequence[Case], ignore: int | None) -> LabelSet:
    """Return the labels that the files hold: names of structures, or the values of maps.

    A label map that cannot be read adds none: reading its case says why.
    """
    from medseg.reading import read_labels
    from medseg.reading.references import references

    names: dict[str, str] = {}
    values: set[int] = set()
    for case in cases:
        try:
            if _in_dicom(case.label):
                names |= {one.name.lower(): one.name for one in references(case.label).labels}
            elif case.label.exists():
                values |= {one.value for one in read_labels(case.label).labels}
        except InputRefused:
            continue
    labels = [Label(value, f"Label {value}") for value in sorted(values - {ignore})]
    free = max(values, default=0) + 1
    ordered = [name for _, name in sorted(names.items())]
    return LabelSet((*labels, *(Label(n, name) for n, name in enumerate(ordered, start=free))))


def _folds(listed: Sequence[ListedCase]) -> tuple[Fold, ...]:
    """Return the split that the cases' own folds make; none where no case names one."""
    numbers = {one.fold for one in listed}
    if numbers <= {None}:
        return ()
    if None in numbers:
        odd = next(one for one in listed if one.fold is None)
        raise InputRefused("dataset-invalid", f"Case {odd.case} is in no fold, others are",
                           do="Give the fold of every case, or of none")  # fmt: skip
    return tuple(
        Fold(
            tuple(one.case for one in listed if one.fold != number),
            tuple(one.case for one in listed if one.fold == number),
        )
        for number in range(max(one.fold for one in listed if one.fold is not None) + 1)
    )


def _table(path: Path) -> Manifest:
    """Return the manifest that a table makes: a row a case, a column a channel."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ValueError("larger than 64 MiB")
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise InputRefused("dataset-invalid", f"{path.name} cannot be read: {why}") from error
    columns = list(rows[0]) if rows else []
    channels = [name for name in columns if name == "image" or name.startswith("image_")]
    strange = [name for name in columns if name not in (*_COLUMNS, *channels)]
    if strange or not channels or not {"case", "label"} <= set(columns):
        raise InputRefused(
            "dataset-invalid",
            f"{path.name} has the columns {', '.join(map(str, columns)) or 'none'}",
            do="Name them case, patient, label, fold, and image or, with several channels, "
            "image_T1, image_T2 and so on; patient and fold may be left out",
        )
    cases = tuple(_row(path, number, row, channels) for number, row in enumerate(rows, start=2))
    names = tuple(name.removeprefix("image_") for name in channels)
    return Manifest(cases=cases, channels=names)


def _row(
    path: Path, line: int, row: Mapping[str, str | None], channels: Sequence[str]
) -> ListedCase:
    from medseg.settings import checked

    fold = (row.get("fold") or "").strip()
    content = {
        "case": (row["case"] or "").strip(),
        "patient": (row.get("patient") or "").strip(),
        "images": [row[name] for name in channels if row[name]],
        "label": row["label"] or None,
        "fold": int(fold) if fold.isdigit() else fold or None,
    }
    return checked(content, ListedCase, f"{path.name}:{line}")
