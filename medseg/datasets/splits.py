"""Which cases train and which are held out: seeded folds over sorted names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medseg.errors import PlanRefused


@dataclass(frozen=True, slots=True)
class Fold:
    """Names of the cases that train and of those held out."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]


def fold_of(names: Sequence[str], number: int, folds: int = 5, seed: int = 12345) -> Fold:
    """Return one fold of a seeded split.

    Names are sorted, shuffled by ``numpy.random.RandomState(seed)`` and cut into equal parts,
    the first ones longer by one: the same folds as scikit-learn's ``KFold(folds,
    shuffle=True, random_state=seed)``, hence as nnU-Net's with its seed 12345.

    Raises
    ------
    PlanRefused
        ``fold-invalid``: there is no such fold, or fewer cases than folds.

    Examples
    --------
    >>> fold_of(["a", "b", "c", "d", "e"], 0).held_out
    ('a',)
    """
    ordered = sorted(names)
    if not 0 <= number < folds or folds < 2 or len(ordered) < folds:
        raise PlanRefused(
            "fold-invalid", f"There is no fold {number} of {folds} over {len(ordered)} cases",
            do=f"Count folds from 0 to {folds - 1}, with a case for each at least",
        )  # fmt: skip
    # the legacy generator on purpose: its stream is what published nnU-Net splits rest on
    shuffled = np.random.RandomState(seed).permutation(len(ordered))
    held_out = {ordered[n] for n in np.array_split(shuffled, folds)[number]}
    return Fold(
        tuple(name for name in ordered if name not in held_out),
        tuple(name for name in ordered if name in held_out),
    )
