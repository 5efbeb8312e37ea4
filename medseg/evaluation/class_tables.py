"""Which class a case is of and how probable each was: read from two tables and put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medseg.errors import InputRefused
from medseg.evaluation.match import read_table
from medseg.evaluation.statistics import bands
from medseg.reading.forms import form_of, stem_of

WITHIN = 0.01  # of 1, for the sum of a case's probabilities: they may have few digits
PLAIN = ("case", "label", "probability")  # predictions as one class and its probability a row
BESIDE = {
    "patient", "group", "image", "truth", "split", "prediction_set", "coverage", "calibrated_on",
    "in_domain", "strangeness", "sure",
}  # fmt: skip  # columns of predictions that are no class
PREDICTIONS = "a column case and one of probabilities for each class"
REFERENCES = "the columns case and label"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a case: its class, and further columns by their name."""

    label: str
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def patient(self) -> str:
        """Which cases belong together, by the column patient or group; empty if told nothing."""
        return self.about.get("patient") or self.about.get("group") or ""


@dataclass(frozen=True, eq=False, slots=True)
class Predicted:
    """Probabilities by case, with the classes they are of; None where they are none.

    Attributes
    ----------
    classes : tuple of str
        In lower case, as the columns of a table are read.
    rows : dict of (C,) array or None
    """

    classes: tuple[str, ...]
    rows: dict[str, np.ndarray | None]


def references_of(path: Path, table: Path | None = None) -> dict[str, Known]:
    """Return what a table says of each case, with what another knows besides.

    Raises
    ------
    InputRefused
        ``manifest-invalid``: it has no column case or label, or a case without a label.
        ``case-repeated``.
    """
    more = dict(read_table(table)) if table is not None else {}
    known: dict[str, Known] = {}
    for case, row in read_table(path, needs=REFERENCES):
        if not row.get("label"):
            raise InputRefused("manifest-invalid", f"The table {path.name} cannot be used: "
                               + ("a case has no label" if "label" in row else "it has no column "
                                  "label"), do=f"Give a CSV with {REFERENCES}")  # fmt: skip
        if case in known:
            raise _repeated(path)
        known[case] = Known(row["label"], {**more.get(case, {}), **row})
    return known


def predictions_of(path: Path, labels: Sequence[str]) -> Predicted:
    """Return the probability of each class in each case.

    Parameters
    ----------
    path : Path
        CSV with ``case`` and a column a class; for two classes one of them is enough. Or
        ``case,label,probability``, a row a case and class, or for two classes a row a case.
    labels : sequence of str
        The classes that the references speak of.

    Raises
    ------
    InputRefused
        ``manifest-invalid``, ``case-repeated``, ``label-unknown``, ``classes-too-few``.
    """
    rows = list(read_table(path, needs=PREDICTIONS))
    lower = list(dict.fromkeys(label.lower() for label in labels))
    columns = [name for name in (rows[0][1] if rows else ()) if name not in BESIDE]
    if set(columns) == {"label", "probability"}:
        rows, columns = _widened(rows)
    columns = [name for name in columns if name not in PLAIN]
    if len(columns) == 1 and len(lower) == 2 and columns[0] in lower:
        columns.append(next(label for label in lower if label != columns[0]))
    _check_classes(columns, labels)
    found: dict[str, np.ndarray | None] = {}
    for case, row in rows:
        if case in found:
            raise _repeated(path)
        found[case] = _shares(row, columns)
    return Predicted(tuple(columns), found)


def _widened(
    rows: Sequence[tuple[str, dict[str, str]]],
) -> tuple[list[tuple[str, dict[str, str]]], list[str]]:
    """Turn a row a case and class into a row a case."""
    wide: dict[str, dict[str, str]] = {}
    for case, row in rows:
        name = row["label"].lower()
        if name in wide.setdefault(case, {}):
            raise InputRefused("case-repeated", "A case has two probabilities of one class",
                               do="Leave one row a case and class")  # fmt: skip
        wide[case][name] = row["probability"]
    columns = list(dict.fromkeys(name for row in wide.values() for name in row))
    return list(wide.items()), columns


def _check_classes(columns: Sequence[str], labels: Sequence[str]) -> None:
    if len(columns) < 2:
        raise InputRefused("classes-too-few", f"There are probabilities of {len(columns)} class",
                           do=f"Give {PREDICTIONS}: two classes at least")  # fmt: skip
    strange = Counter(label for label in labels if label.lower() not in columns)
    if strange:
        label, cases = strange.most_common(1)[0]
        raise InputRefused(
            "label-unknown",
            f"{cases} reference{'s are' if cases > 1 else ' is'} labelled {label!r}, for which "
            f"there is no column of probabilities, only for {', '.join(columns)}",
            do="Name the columns as the labels are",
        )  # fmt: skip


def _shares(row: Mapping[str, str], columns: Sequence[str]) -> np.ndarray | None:
    """Return the probabilities of a row, summing to 1; None where it holds none.

    One of two may be left out, since it is what the other leaves.
    """
    told = [row.get(name, "") for name in columns]
    try:
        given = [float(text) for text in told if text]
    except ValueError:
        return None
    if len(columns) == 2 and len(given) == 1:
        given.insert(told.index(""), 1 - given[0])
    if len(given) < len(columns):
        return None
    shares = np.array(given)
    whole = shares.sum()
    if not (shares >= 0).all() or not abs(whole - 1) <= WITHIN:  # nan is neither
        return None
    scaled: np.ndarray = shares / whole
    return scaled


def refusal_of(case: str, known: Mapping[str, Known], found: Predicted) -> InputRefused | None:
    """Return why a case has no scores: either side is missing, or is no probabilities."""
    if case not in known:
        return InputRefused("reference-missing", "There are probabilities and no true class",
                            do="Add its label, or take the case out")  # fmt: skip
    if case not in found.rows:
        return InputRefused("prediction-missing", "There is a true class and no prediction",
                            do="Classify the case, or take its label out")  # fmt: skip
    if found.rows[case] is None:
        return InputRefused("probabilities-invalid", "Its probabilities are not numbers from 0 to "
                            "1 that sum to 1", do="Give the softmax of the network, not its "
                                                  "logits")  # fmt: skip
    return None


def groups_of(known: Sequence[Known], by: str | None) -> list[str]:
    """Return the group of each case by a column; many different numbers are put into quarters.

    Raises
    ------
    InputRefused
        ``group-unknown``: no case says anything of it.
    """
    if by is None:
        return [""] * len(known)
    groups = bands([one.about.get(by.strip().lower(), "") for one in known])
    if set(groups) == {"not given"}:
        raise InputRefused("group-unknown", f"No case says anything of {by!r}",
                           do="Name a column of the references or of --table")  # fmt: skip
    return groups


def images_of(
    cases: Sequence[str], known: Mapping[str, Known], beside: Path, folder: Path | None
) -> list[Path | None]:
    """Return the image of each case: of the folder by its name, else by the column image."""
    named = {} if folder is None else {_stem(path): path for path in sorted(folder.iterdir())}
    told = ((case, known[case].about.get("image")) for case in cases)
    return [named.get(case) or (beside / path if path else None) for case, path in told]


def _stem(path: Path) -> str:
    return stem_of(path) if form_of(path) else path.stem if path.is_file() else path.name


def _repeated(path: Path) -> InputRefused:
    return InputRefused("case-repeated", f"The table {path.name} has a case twice",
                        do="Leave one row a case")  # fmt: skip
