"""Why a mask deserves a close look, and how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from medseg.review.results import Case

# Weights add up; what is most often plainly wrong comes first.
EMPTY = 100.0
ABSENT = 60.0  # a label that nearly every other case has
BORDER = 40.0
WARNING = 20.0
WARNINGS = {"modality-differs": 80.0, "field-of-view-differs": 40.0}  # graver than the others

COHORT = 8  # cases; of fewer a median and a spread say little
OUTLYING = 3.5  # robust z (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993)
LARGEST_Z = 10.0  # beyond it a larger one is no worse
LEAST_SPREAD = 0.05  # of log volume: in a cohort that hardly varies 5 % are nothing
MAD_TO_DEVIATION = 1.4826  # of a normal distribution
COMMON = 0.9  # share of cases that makes a label one to be expected
CONFIDENT = 0.8  # see Measures.confidence; trained networks are above 0.9 where they are right


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured on the mask of a case.

    Attributes
    ----------
    diameters_mm : dict of (float, float)
        Long axis, and short axis at a right angle to it, of the largest connected part of each
        label that occurs.
    touching : tuple of str
        Labels that reach the border of the scan.
    confidence : dict of float
        Of each label, the Dice to expect if the probabilities are right:
        ``2 sum(p in mask) / (sum(p) + voxels of the mask)``. Empty without probabilities.
    """

    diameters_mm: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    touching: tuple[str, ...] = ()
    confidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason to look closely.

    Attributes
    ----------
    kind : str
        ``empty``, ``absent``, ``border``, ``volume``, ``confidence``, or the code of a finding.
    words : str
        For the reader, with the numbers.
    weight : float
    """

    kind: str
    words: str
    weight: float


def doubts_of(cases: Sequence[Case], measures: Sequence[Measures]) -> list[list[Doubt]]:
    """Return the doubts about each case, gravest first.

    Volumes are compared among cases of the same model, each label for itself, by the robust z
    of the logarithm: distance from the median over 1.4826 times the median absolute deviation.
    """
    volumes = [_by_volume(case, cases) for case in cases]
    return [
        sorted([*_of_mask(case, measured), *odd], key=lambda doubt: -doubt.weight)
        for case, measured, odd in zip(cases, measures, volumes, strict=True)
    ]


def _of_mask(case: Case, measured: Measures) -> list[Doubt]:
    doubts = []
    if _empty(case):
        doubts.append(Doubt("empty", "The mask is empty", EMPTY))
    doubts += [Doubt("border", f"{name} touches the border of the scan", BORDER)
               for name in measured.touching]  # fmt: skip
    for name, sure in measured.confidence.items():
        if sure < CONFIDENT:
            weight = WARNING + 2 * WARNING * (1 - sure / CONFIDENT)
            doubts.append(Doubt("confidence", f"{name}: confidence only {sure:.2f}", weight))
    for finding in case.record.findings:
        if finding.level == "warning":
            weight = WARNINGS.get(finding.code, WARNING)
            doubts.append(Doubt(finding.code, finding.words, weight))
    return doubts


def _empty(case: Case) -> bool:
    return not any(case.record.volumes_ml.values())


def _by_volume(case: Case, cases: Sequence[Case]) -> list[Doubt]:
    """Compare each label's volume with that of the other cases."""
    if _empty(case):
        return []
    others = [other.record.volumes_ml for other in cases
              if other is not case and other.model == case.model]  # fmt: skip
    doubts = []
    for name, ml in case.record.volumes_ml.items():
        there = [other[name] for other in others if other.get(name)]
        if ml > 0 and len(there) >= COHORT:
            doubts += _outlying(name, ml, there)
        elif not ml and len(others) >= COHORT and len(there) >= COMMON * len(others):
            words = f"{name} is absent; {len(there)} of {len(others)} other cases have it"
            doubts.append(Doubt("absent", words, ABSENT))
    return doubts


def _outlying(name: str, ml: float, others: Sequence[float]) -> list[Doubt]:
    logs = np.log(others)
    middle = float(np.median(logs))
    spread = MAD_TO_DEVIATION * float(np.median(np.abs(logs - middle)))
    z = (np.log(ml) - middle) / max(spread, LEAST_SPREAD)
    if abs(z) < OUTLYING:
        return []
    words = (
        f"{name} {ml:.3g} ml is unusually {'large' if z > 0 else 'small'}: "
        f"the median of the others is {np.exp(middle):.3g} ml (robust z {z:+.1f})"
    )
    weight = BORDER * float(min(abs(z), LARGEST_Z)) / LARGEST_Z + WARNING
    return [Doubt("volume", words, weight)]


def order(doubts: Sequence[Sequence[Doubt]], measures: Sequence[Measures],
          cases: Sequence[Case]) -> list[int]:  # fmt: skip
    """Return the numbers of the cases, most doubtful first.

    By the sum of the weights, then by the least confidence, then by name.
    """

    def key(number: int) -> tuple[float, float, str]:
        weight = sum(doubt.weight for doubt in doubts[number])
        sure = min(measures[number].confidence.values(), default=1.0)
        return -weight, sure, cases[number].name

    return sorted(range(len(cases)), key=key)
