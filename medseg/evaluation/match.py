"""Which prediction belongs to which reference: by case, from folders and manifests."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medseg.errors import InputRefused
from medseg.reading.forms import form_of, stem_of

MASKS = ("mask.nii.gz", "seg.dcm")  # in a case's folder, as medseg segment writes it; first wins
PROBABILITIES = "probabilities.nii.gz"
FILES = ("prediction", "reference", "image", "probabilities")  # columns of a manifest
LARGEST_BYTES = 64 << 20  # of a manifest
COLUMNS = "the columns case, prediction, reference"
_CHANNEL = "_0000"  # ends the names of images in nnU-Net's layout

Side = dict[str, list[Path]]


@dataclass(frozen=True, slots=True)
class Pair:
    """One case to be judged.

    Attributes
    ----------
    case : str
        File stem, name of a folder, or what the manifest says.
    prediction, reference : Path or None
        A label file, or a folder that holds one.
    image, probabilities : Path or None
        The scan and the class probabilities, where there are any.
    about : mapping of str
        Further columns of a manifest or table by their name.
    refusal : InputRefused or None
        Why the case cannot be judged: one side is missing or comes twice.
    """

    case: str
    prediction: Path | None = None
    reference: Path | None = None
    image: Path | None = None
    probabilities: Path | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    refusal: InputRefused | None = None

    @property
    def patient(self) -> str:
        """Whose case it is: the column ``patient``, else a patient of its own."""
        return self.about.get("patient", "") or self.case


def matched(
    predictions: str | Path, references: str | Path | None = None, images: str | Path | None = None
) -> list[Pair]:
    """Pair predictions and references by case, sorted; each case is there once.

    Each of the three is a folder with ``<case>.nii.gz``, ``<case>.dcm`` or ``<case>/`` in it, a
    manifest (CSV with the columns ``case`` and ``prediction``, ``reference``, ``image``,
    ``probabilities`` as far as it has them; paths from its own folder), or a single file. Two
    single files are a pair whatever their names.

    Parameters
    ----------
    predictions : str or Path
    references : str or Path, optional
        Left out where ``predictions`` is a manifest that names the references too.
    images : str or Path, optional
        Scans: to place DICOM on, to draw, to group by.

    Raises
    ------
    InputRefused
        ``path-missing``; ``manifest-invalid``: no table, a column is missing, or a case has
        no name; ``references-missing``; ``no-cases``: there is nothing to judge.
    """
    about: dict[str, dict[str, str]] = {}
    given = Path(predictions)
    found = _side(given, "prediction", about)
    if references is not None:
        truths = _side(Path(references), "reference", about)
    elif _is_table(given):
        truths = _side(given, "reference", about)
    else:
        raise InputRefused("references-missing", "There are no references to compare with",
                           do="Give their folder, or a manifest with a column reference"
                           )  # fmt: skip
    scans = _side(Path(images), "image", about) if images is not None else {}
    if _is_table(given) and images is None:
        scans = _side(given, "image", about, optional=True)
    soft = _side(given, "probabilities", about, optional=True) if _is_table(given) else {}
    if not truths or not found:
        which = "reference" if not truths else "prediction"
        raise InputRefused("no-cases", f"There is no {which} here",
                           do="Give a folder with <case>.nii.gz or <case>/mask.nii.gz, "
                              "or a manifest")  # fmt: skip
    if _one_file(given) and references is not None and _one_file(Path(references)):
        (case,) = truths
        found = {case: next(iter(found.values()))}
        scans = {case: next(iter(scans.values()))} if len(scans) == 1 else scans
    return [_pair(case, found, truths, scans, soft, about) for case in sorted({*found, *truths})]


def _pair(
    case: str,
    found: Side,
    truths: Side,
    scans: Side,
    soft: Side,
    about: Mapping[str, Mapping[str, str]],
) -> Pair:
    refusal = _refusal(found.get(case, ()), truths.get(case, ()))
    images = scans.get(case) or scans.get(case + _CHANNEL) or []
    prediction = next(iter(found.get(case, ())), None)
    probabilities = next(iter(soft.get(case, ())), None)
    if probabilities is None and prediction is not None and prediction.name in MASKS:
        beside = prediction.with_name(PROBABILITIES)
        probabilities = beside if beside.is_file() else None
    return Pair(case, prediction, next(iter(truths.get(case, ())), None),
                images[0] if len(images) == 1 else None, probabilities,
                dict(about.get(case, {})), refusal)  # fmt: skip


def _refusal(found: Iterable[Path], truths: Iterable[Path]) -> InputRefused | None:
    numbers = {"prediction": len(list(found)), "reference": len(list(truths))}
    for name, count in numbers.items():
        if count > 1:
            return InputRefused("case-repeated", f"There are {count} files that are the {name}",
                                do="Leave one, or say which by a manifest")  # fmt: skip
    if not numbers["prediction"]:
        return InputRefused("prediction-missing", "There is a reference and no prediction",
                            do="Segment the case, or take its reference out")  # fmt: skip
    if not numbers["reference"]:
        return InputRefused("reference-missing", "There is a prediction and no reference",
                            do="Add the reference, or take the prediction out")  # fmt: skip
    return None


def _side(
    path: Path, column: str, about: dict[str, dict[str, str]], *, optional: bool = False
) -> Side:
    """Return the files of each case at a path; what a manifest says besides goes to ``about``."""
    if _is_table(path):
        return _of_manifest(path, column, about, optional=optional)
    try:
        if path.is_dir():
            return _of_folder(path)
        if path.exists():
            return {_stem(path) or path.parent.name: [path]}
    except OSError as error:
        raise InputRefused("file-unreadable", "The folder may not be read: "
                           f"{(error.strerror or type(error).__name__).lower()}",
                           do="Ask for access to it") from None  # fmt: skip
    raise InputRefused("path-missing", f"There is no file or folder of {column}s at this path",
                       do="Check how it is written, or mount its disk")  # fmt: skip


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv")


def _one_file(path: Path) -> bool:
    return not _is_table(path) and path.is_file()


def _of_folder(folder: Path) -> Side:
    side: Side = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if any(entry.iterdir()):
                side.setdefault(entry.name, []).append(_mask_in(entry))
        elif stem := _stem(entry):
            side.setdefault(stem, []).append(entry)
    return side


def _mask_in(folder: Path) -> Path:
    """Return the mask in a case's folder, or the folder itself for reading to look into."""
    return next((folder / name for name in MASKS if (folder / name).is_file()), folder)


def _stem(path: Path) -> str:
    """Return the case that a file is named after; empty for files of other kinds."""
    if form_of(path):
        return stem_of(path)
    return path.stem if path.suffix.lower() in (".dcm", ".dicom") else ""


def _of_manifest(
    path: Path, column: str, about: dict[str, dict[str, str]], *, optional: bool
) -> Side:
    side: Side = {}
    for case, row in read_table(path):
        if column not in row:
            if optional:
                return {}
            raise _bad_table(path, f"it has no column {column}")
        if row[column]:
            side.setdefault(case, []).append(_placed(path.parent / row[column]))
        told = about.setdefault(case, {})
        told |= {name: value for name, value in row.items() if name not in FILES and value}
    return side


def _placed(path: Path) -> Path:
    return _mask_in(path) if path.is_dir() else path


def read_table(path: Path, needs: str = COLUMNS) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield case and columns of each row of a CSV (or tab-separated) table.

    ``needs`` says what a refusal asks for.

    Raises
    ------
    InputRefused
        ``manifest-invalid``: it cannot be read, has no column ``case``, or a row has none.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise _bad_table(path, "it is larger than 64 MiB", needs)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise _bad_table(path, str(reason).lower(), needs) from None
    first = text.partition("\n")[0]
    separator = max((",", ";", "\t"), key=first.count)
    rows = csv.DictReader(text.splitlines(), delimiter=separator)
    names = [name.strip().lower() for name in rows.fieldnames or ()]
    if "case" not in names:
        raise _bad_table(path, "it has no column case", needs)
    rows.fieldnames = names
    try:
        for number, row in enumerate(rows, start=2):
            told = {name: (value or "").strip() for name, value in row.items()
                    if name and isinstance(value, str | None)}  # fmt: skip
            case = told.pop("case")
            if not case:
                raise _bad_table(path, f"row {number} names no case", needs)
            yield case, told
    except csv.Error:
        raise _bad_table(path, "it is no table", needs) from None


def _bad_table(path: Path, why: str, needs: str = COLUMNS) -> InputRefused:
    return InputRefused("manifest-invalid", f"The table {path.name} cannot be used: {why}",
                        do=f"Give a CSV with {needs}")  # fmt: skip
