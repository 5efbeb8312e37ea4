"""Means with their uncertainty, paired differences and ranks; patients are what is resampled."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LEVEL = 0.95
RESAMPLES = 9999  # the 2.5 % points are then the 250th value from either end
SCORE_RESAMPLES = 1000  # of scores that are no means: each is computed anew
RANK_RESAMPLES = 1000  # as challengeR does (Wiesenfarth et al., Scientific Reports 2021)
SEED = 12345
_BLOCK = 1 << 20  # numbers resampled at once: 8 MB, however many cases there are


@dataclass(frozen=True, slots=True)
class Summary:
    """One score over many cases; nan where there is nothing to say.

    ``low`` and ``high`` bound the mean at 95 %. ``cases`` is how many went in.
    """

    cases: int
    patients: int
    mean: float
    low: float
    high: float
    deviation: float
    least: float
    quartile_1: float
    median: float
    quartile_3: float
    most: float


def summary(values: np.ndarray, patients: Sequence[str] | None = None) -> Summary:
    """Summarise the values that are numbers.

    Parameters
    ----------
    values : (cases,) array
        nan is not counted.
    patients : sequence of str, optional
        Whose case each is. Scans of one patient resemble one another, so the interval is that
        of resampled patients. Without it every case is a patient of its own.

    Examples
    --------
    >>> one = summary(np.array([0.8, 0.9, 1.0, np.nan]))
    >>> one.cases, round(one.mean, 3), one.median
    (3, 0.9, 0.9)
    """
    return summaries({"": values}, patients)[""]


def summaries(
    scores: Mapping[str, np.ndarray], patients: Sequence[str] | None = None
) -> dict[str, Summary]:
    """Summarise several scores of the same cases at once, as :func:`summary` does each.

    Scores that count in the same cases are resampled together.
    """
    alike: dict[bytes, list[str]] = {}
    for name, values in scores.items():
        alike.setdefault(np.isnan(values).tobytes(), []).append(name)
    found: dict[str, Summary] = {}
    for names in alike.values():
        counted = ~np.isnan(scores[names[0]])
        table = np.stack([scores[name][counted] for name in names], axis=1)  # (cases, scores)
        found |= dict(zip(names, _summaries(table, _groups(counted, patients)), strict=True))
    return {name: found[name] for name in scores}


def _summaries(table: np.ndarray, whose: np.ndarray) -> list[Summary]:
    cases, many = table.shape
    if not cases:
        return [Summary(0, 0, *[math.nan] * 9)] * many
    low, high = mean_intervals(table, whose)
    with np.errstate(invalid="ignore"):  # infinite distances have no deviation
        spread = table.std(axis=0, ddof=1) if cases > 1 else np.full(many, math.nan)
        quarters = np.percentile(table, (0, 25, 50, 75, 100), axis=0)
    columns = np.vstack([table.mean(axis=0), low, high, spread, quarters])
    people = int(whose.max()) + 1
    return [Summary(cases, people, *column) for column in columns.T.tolist()]


def _groups(counted: np.ndarray, patients: Sequence[str] | None) -> np.ndarray:
    """Return the number of the patient of each counted case."""
    if patients is None:
        return np.arange(int(counted.sum()))
    return np.unique(np.asarray(patients, dtype=str)[counted], return_inverse=True)[1].ravel()


def mean_intervals(
    table: np.ndarray, whose: np.ndarray, *, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bootstrap interval of each mean at 95 %, bias-corrected and accelerated.

    BCa (Efron, "Better bootstrap confidence intervals", JASA 1987) over patients: a resampled
    mean is the sum over the cases of the drawn patients by their number. Of one patient
    nothing can be said, nor of infinite values: nan. Equal values give that value.

    Parameters
    ----------
    table : (cases, scores) array
        Without nan.
    whose : (cases,) array of int
        Number of each case's patient, from 0, none left out.
    resamples, seed : int

    Returns
    -------
    low, high : (scores,) arrays
    """
    from scipy.special import ndtr, ndtri

    people, many = int(whose.max()) + 1, table.shape[1]
    if people < 2:
        return np.full(many, math.nan), np.full(many, math.nan)
    sums = np.zeros((people, many))
    np.add.at(sums, whose, table)
    counts = np.bincount(whose).astype(float)[:, None]
    mean = table.mean(axis=0)
    with np.errstate(all="ignore"):  # infinite and constant scores; both are seen to below
        drawn = _resampled_means(sums, counts, resamples, seed)  # (resamples, scores)
        without = (sums.sum(axis=0) - sums) / (counts.sum() - counts)  # jackknife
        gap = without.mean(axis=0) - without
        acceleration = (gap**3).sum(axis=0) / (6 * (gap**2).sum(axis=0) ** 1.5)
        below = ((drawn < mean).mean(axis=0) + (drawn <= mean).mean(axis=0)) / 2
        bias = ndtri(below)
        ends = []
        for edge in ((1 - LEVEL) / 2, (1 + LEVEL) / 2):
            shifted = bias + ndtri(edge)
            share = ndtr(bias + shifted / (1 - acceleration * shifted))
            share = np.where(np.isnan(share), edge, share)  # too even for BCa: plain percentile
            ends.append([np.quantile(one, at) for one, at in zip(drawn.T, share, strict=True)])
    low, high = np.array(ends)
    even = np.ptp(table, axis=0) == 0
    finite = np.isfinite(table).all(axis=0)
    low, high = (np.where(even, table[0], np.where(finite, end, math.nan)) for end in (low, high))
    return low, high


def _resampled_means(sums: np.ndarray, counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return the mean of each score over patients drawn with replacement, many times."""
    times = _drawn(len(sums), resamples, seed)
    step = max(1, _BLOCK // len(sums))
    return np.concatenate([
        (block @ sums) / (block @ counts)
        for block in (times[n : n + step].astype(float) for n in range(0, resamples, step))
    ])  # fmt: skip


@lru_cache(maxsize=4)  # most labels count in equally many cases
def _drawn(people: int, resamples: int, seed: int) -> np.ndarray:
    """Return how often each patient was drawn in each resample, ``(resamples, people)``."""
    rng = np.random.default_rng(seed)
    times = np.empty((resamples, people), np.uint16)
    step = max(1, _BLOCK // people)
    for start in range(0, resamples, step):
        draws = min(step, resamples - start)
        who = rng.integers(0, people, (draws, people), dtype=np.int32)
        who += people * np.arange(draws, dtype=np.int32)[:, None]
        counts = np.bincount(who.ravel(), minlength=draws * people)
        times[start : start + draws] = counts.reshape(draws, people)
    times.flags.writeable = False
    return times


def resampled(
    of: Callable[[np.ndarray], Sequence[float]],
    whose: np.ndarray,
    *,
    about: Sequence[bool] = (),
    resamples: int = SCORE_RESAMPLES,
    seed: int = SEED,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bootstrap interval at 95 % of scores that are no means of cases, as percentiles.

    Resamples in which a score is nan (a class that was not drawn) do not count for it. Of one
    patient nothing can be said: nan.

    Parameters
    ----------
    of : callable
        From numbers of cases, repeated as drawn, to the scores ``(S,)``.
    whose : (N,) array of int
        Number of each case's patient, from 0, none left out.
    about : sequence of bool, optional
        Scores whose interval is mirrored about the value, and not below 0: those that
        resampling itself raises, as it does calibration errors.

    Returns
    -------
    low, high : (S,) arrays
    """
    value = np.asarray(of(np.arange(len(whose))), float)
    people = int(whose.max()) + 1
    if people < 2:
        return np.full_like(value, math.nan), np.full_like(value, math.nan)
    cases_of = np.split(np.argsort(whose, kind="stable"), np.cumsum(np.bincount(whose))[:-1])
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [
            of(np.concatenate([cases_of[one] for one in rng.integers(0, people, people)]))
            for _ in range(resamples)
        ]
    )  # (resamples, S)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a score that is always nan
        low, high = np.nanquantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    mirrored = np.asarray(about, bool) if len(about) else np.zeros(value.shape, bool)
    low, high = (np.where(mirrored, np.maximum(2 * value - far, 0), near)
                 for near, far in ((low, high), (high, low)))  # fmt: skip
    return np.where(np.isnan(value), np.nan, low), np.where(np.isnan(value), np.nan, high)


@dataclass(frozen=True, slots=True)
class Paired:
    """The difference of two results on the same cases, second minus first.

    ``p`` is that of Wilcoxon's signed-rank test. ``wins`` counts the cases where the second
    is better.
    """

    cases: int
    patients: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    wins: int
    ties: int
    losses: int


def paired(
    first: np.ndarray,
    second: np.ndarray,
    patients: Sequence[str] | None = None,
    *,
    higher_is_better: bool = True,
) -> Paired:
    """Compare two results case by case; cases where either is nan are left out.

    The interval is that of the mean difference over resampled patients. The test is Wilcoxon's
    signed-rank with Pratt's handling of zeros, on the mean difference of each patient, since
    it takes its pairs for independent.

    Examples
    --------
    >>> one = paired(np.array([0.7, 0.8, 0.9]), np.array([0.8, 0.8, 0.8]))
    >>> one.cases, one.wins, one.ties, one.losses
    (3, 1, 1, 1)
    """
    counted = ~(np.isnan(first) | np.isnan(second))
    one, two, whose = first[counted], second[counted], _groups(counted, patients)
    if not len(one):
        nan = math.nan
        return Paired(0, 0, nan, nan, nan, nan, nan, nan, 0, 0, 0)
    with np.errstate(invalid="ignore"):
        gain = np.where(one == two, 0.0, two - one)  # two infinite distances are equal
    low, high = (float(end[0]) for end in mean_intervals(gain[:, None], whose))
    better = gain if higher_is_better else -gain
    return Paired(
        cases=len(one), patients=int(whose.max()) + 1,
        first=float(one.mean()), second=float(two.mean()),
        difference=float(gain.mean()), low=low, high=high,
        p=signed_rank(np.bincount(whose, gain) / np.bincount(whose)),
        wins=int((better > 0).sum()), ties=int((better == 0).sum()),
        losses=int((better < 0).sum()),
    )  # fmt: skip


def signed_rank(differences: np.ndarray) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test, zeros ranked as Pratt did.

    1 where all differences are zero.
    """
    if not differences.any():
        return 1.0
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few pairs with zeros or ties: the normal approximation
        return float(stats.wilcoxon(differences, zero_method="pratt").pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm, Scand. J. Stat. 1979); nan stays nan.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p, dtype=float)
    out = np.full(len(given), np.nan)
    tested = np.flatnonzero(~np.isnan(given))
    ordered = tested[np.argsort(given[tested], kind="stable")]
    steps = given[ordered] * np.arange(len(ordered), 0, -1)
    out[ordered] = np.minimum(1, np.maximum.accumulate(steps))
    return [float(one) for one in out]


@dataclass(frozen=True, slots=True)
class Rank:
    """The place of one model among several, 1 the best.

    Attributes
    ----------
    of_mean : float
        Aggregate, then rank: the place of its mean score.
    mean_rank, of_ranks : float
        Rank, then aggregate: its mean place over the cases, and the place of that.
    low, high : float
        95 % of ``of_mean`` over resampled patients.
    """

    mean: float
    of_mean: float
    mean_rank: float
    of_ranks: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """The models' places, and how far the two ways of ranking agree (Kendall's tau)."""

    cases: int
    ranks: tuple[Rank, ...]
    tau: float


def ranking(
    scores: np.ndarray, patients: Sequence[str] | None = None, *, higher_is_better: bool = True
) -> Ranking:
    """Rank models as challenges do, in both ways (Maier-Hein et al., Nature Comm. 2018).

    Parameters
    ----------
    scores : (cases, models) array
        A case with a nan is left out: fill what a missing result is worth before.
    patients : sequence of str, optional
        Whose case each is.
    higher_is_better : bool

    Returns
    -------
    Ranking
        Equal models share the mean of their places.
    """
    counted = ~np.isnan(scores).any(axis=1)
    kept, whose = scores[counted], _groups(counted, patients)
    if not len(kept):
        return Ranking(0, tuple(Rank(*[math.nan] * 6) for _ in range(scores.shape[1])), math.nan)
    worth = kept if higher_is_better else -kept
    mean_ranks = _places(worth).mean(axis=0)
    of_mean, of_ranks = _places(worth.mean(axis=0)), _places(-mean_ranks)
    low, high = _rank_interval(worth, whose)
    ranks = [Rank(*map(float, one)) for one in
             zip(kept.mean(axis=0), of_mean, mean_ranks, of_ranks, low, high, strict=True)
             ]  # fmt: skip
    return Ranking(len(kept), tuple(ranks), _tau(of_mean, of_ranks))


def _places(worth: np.ndarray) -> np.ndarray:
    """Return the place of each along the last axis, 1 for the greatest."""
    from scipy import stats

    return np.asarray(stats.rankdata(-worth, axis=-1))


def _rank_interval(worth: np.ndarray, whose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED)
    people = int(whose.max()) + 1
    sums = np.stack([np.bincount(whose, column) for column in worth.T], axis=1)  # (people, models)
    counts = np.bincount(whose)
    drawn = rng.integers(0, people, (RANK_RESAMPLES, people))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)[:, None]
    edge = (1 - LEVEL) / 2
    low, high = np.quantile(_places(means), (edge, 1 - edge), axis=0, method="nearest")
    return low, high


def _tau(one: np.ndarray, other: np.ndarray) -> float:
    if len(one) < 2:
        return math.nan
    from scipy import stats

    return float(stats.kendalltau(one, other).statistic)


def bands(values: Sequence[str], most: int = 6) -> list[str]:
    """Return the group of each value: itself, or for many different numbers their quarter.

    Examples
    --------
    >>> bands(["F", "M", "F", ""])
    ['F', 'M', 'F', 'not given']
    >>> bands([str(n) for n in range(8)])[::3]
    ['0 to 1', '2 to 3', '6 to 7']
    """
    numbers = [_number(value) for value in values]
    known = [number for number in numbers if number is not None]
    told = [value for value in values if value.strip()]
    if len(set(told)) <= most or len(known) < len(told):
        return [value.strip() or "not given" for value in values]
    edges = np.quantile(known, (0.25, 0.5, 0.75))
    quarter: Callable[[float], int] = lambda one: int(np.searchsorted(edges, one))  # noqa: E731
    members: dict[int, list[float]] = {}
    for number in known:
        members.setdefault(quarter(number), []).append(number)
    return [
        "not given" if number is None else
        f"{min(members[quarter(number)]):g} to {max(members[quarter(number)]):g}"
        for number in numbers
    ]  # fmt: skip


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
