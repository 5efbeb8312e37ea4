"""Which cases train and which are held out: seeded folds over patients, or a given split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from medseg.datasets.dataset import Case, Dataset, Fold
from medseg.errors import InputRefused, PlanRefused


def fold_of(
    names: Sequence[str],
    number: int,
    folds: int = 5,
    seed: int = 12345,
    patients: Mapping[str, str] | None = None,
) -> Fold:
    """Return one fold of a seeded split, in which no patient is divided.

    Patients are sorted by their first case, shuffled by ``numpy.random.RandomState(seed)`` and
    cut into equal parts, the first ones longer by one: the same folds as scikit-learn's
    ``KFold(folds, shuffle=True, random_state=seed)`` over the patients, hence, where every case
    is another patient, as nnU-Net's with its seed 12345.

    Parameters
    ----------
    names : sequence of str
        Of the cases.
    number, folds, seed : int
    patients : mapping, optional
        The patient of each case by its name; a case that is not in it, or whose patient is
        empty, is a patient of its own.

    Raises
    ------
    PlanRefused
        ``fold-invalid``: there is no such fold, or fewer patients than folds.

    Examples
    --------
    >>> fold_of(["a", "b", "c", "d", "e"], 0).held_out
    ('a',)
    >>> fold_of(["a", "b", "c", "d"], 0, 2, patients={"a": "x", "c": "x"}).held_out
    ('a', 'b', 'c')
    """
    ordered = sorted(names)
    grouped = _by_patient(ordered, patients or {})
    if not 0 <= number < folds or folds < 2 or len(grouped) < folds:
        of = f"{len(ordered)} cases"
        if len(grouped) < len(ordered):
            of += f" of {len(grouped)} patients"
        raise PlanRefused(
            "fold-invalid", f"There is no fold {number} of {folds} over {of}",
            do=f"Count folds from 0 to {folds - 1}, with a patient for each at least",
        )  # fmt: skip
    # the legacy generator on purpose: its stream is what published nnU-Net splits rest on
    shuffled = np.random.RandomState(seed).permutation(len(grouped))
    chosen = np.array_split(shuffled, folds)[number]
    held_out = {name for n in chosen for name in grouped[n]}
    return Fold(
        tuple(name for name in ordered if name not in held_out),
        tuple(name for name in ordered if name in held_out),
    )


def _by_patient(names: Sequence[str], patients: Mapping[str, str]) -> list[list[str]]:
    """Return the names of each patient, patients in the order of their first name."""
    grouped: dict[tuple[bool, str], list[str]] = defaultdict(list)
    for name in names:
        patient = patients.get(name, "")
        grouped[bool(patient), patient or name].append(name)
    return list(grouped.values())


def split(dataset: Dataset, number: int, folds: int = 5, seed: int = 12345) -> Fold:
    """Return one fold of a data set: of the split that came with it, else of a seeded one.

    Raises
    ------
    PlanRefused
        ``fold-invalid``.
    InputRefused
        ``patient-divided``: the split that came with the data set has cases of one patient on
        both sides.
    """
    names = [case.name for case in dataset.cases]
    if not dataset.folds:
        patients = {case.name: case.patient for case in dataset.cases}
        return fold_of(names, number, folds, seed, patients)
    if not 0 <= number < len(dataset.folds):
        raise PlanRefused(
            "fold-invalid",
            f"There is no fold {number}: {dataset.name} comes with {len(dataset.folds)}",
            do="Choose one of them, or take its split file away",
        )
    fold = dataset.folds[number]
    if not fold.train:
        raise PlanRefused("fold-invalid", f"Fold {number} of the split of {dataset.name} leaves no "
                          "case to train on", do="Mend it, or take it away")  # fmt: skip
    if pair := divided(dataset.cases, fold):
        raise InputRefused(
            "patient-divided",
            f"Cases {pair[0]} and {pair[1]} are of one patient, and fold {number} trains on one "
            "and holds out the other: its scores would flatter",
            do="Take the split file away for folds by patient, or mend it",
        )
    return fold


def divided(cases: Sequence[Case], fold: Fold) -> tuple[str, str] | None:
    """Return two cases of one patient that a fold divides, or None."""
    patients = {case.name: case.patient for case in cases if case.patient}
    trains = {patients[name]: name for name in reversed(fold.train) if name in patients}
    for name in fold.held_out:
        if name in fold.train:
            return name, name
        if (patient := patients.get(name)) and patient in trains:
            return trains[patient], name
    return None
