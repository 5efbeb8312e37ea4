"""All that is odd about a data set in one report, before anything is trained on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from medseg.datasets.dataset import Dataset
from medseg.datasets.measuring import Measured, Seen, measure
from medseg.datasets.parallel import threads
from medseg.datasets.splits import divided
from medseg.findings import Finding, Level

LEAST = 10  # cases from which on one can be told to be unlike the others
FAR = 5.0  # robust deviations: one in two million of a normal spread
TWICE = 2.0  # a spacing this many times the median, or below half of it
# correlations of thumbnails. Between two patients they reach 0.87 (200 crops of the hippocampus),
# and 0.67 in what sets them apart from the mean; copies with noise, gamma or 8 bit have over 0.99
ALIKE = 0.95
ALIKE_OWN = 0.9
ALIKE_OF_FEW = 0.98  # where there is no mean to speak of
_BLOCK = 512  # thumbnails that are compared with all others at a time
_SPREADS = {"volume": 0.05, "contrast": 0.05, "place": 0.01}  # no label is tighter than this

_DO = {
    "image-repeated": "Keep one of them, or give both the same patient",
    "image-similar": "Look at both: keep one, or give both the same patient",
    "label-repeated": "Give each image its own labels",
    "patient-divided": "Make folds by patient, or mend the split file",
    "label-empty": "Right if the structure is truly absent; else label it or leave the case out",
    "label-never": "Label it somewhere, or take it from the labels",
    "image-constant": "Replace the image, or leave the case out",
    "not-finite": "Convert the image again, or leave the case out",
    "spacing-unlike": "Compare the header with the scanner's protocol",
    "volume-unlike": "Look at its labels over the image",
    "contrast-unlike": "Look at its labels over the image: do they belong to it?",
    "place-unlike": "Look at its labels over the image: shifted or mirrored?",
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Remark:
    """A finding about some cases, or about the whole where there are none, and the remedy."""

    finding: Finding
    cases: tuple[str, ...] = ()
    do: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found, gravest first.

    Attributes
    ----------
    name : str
        Of the data set.
    cases : int
    remarks : tuple of Remark
    """

    name: str
    cases: int
    remarks: tuple[Remark, ...]

    def count(self, level: Level) -> int:
        """Return how many remarks are of a level."""
        return sum(one.finding.level == level for one in self.remarks)

    @property
    def counts(self) -> str:
        """Say in words how many cases, errors and warnings there are."""
        numbers = {"case": self.cases, "error": self.count("error"),
                   "warning": self.count("warning")}  # fmt: skip
        return ", ".join(f"{n} {what}{'s' * (n != 1)}" for what, n in numbers.items())


def check(
    dataset: Dataset, *, workers: int = 1, progress: Progress = lambda done, total: None
) -> Report:
    """Read every case of a data set and report what is odd; a bad case stops nothing.

    Errors are what training refuses or what makes its figures worthless: cases that cannot be
    read, labels that nobody named, NaN, one image in two patients, one patient on both sides of
    a split. Warnings are for a person to look at.

    Labels that disagree with their image show as outliers among the cases: of volume (log),
    contrast and place, by robust z-scores ``0.6745 (x - median) / MAD`` above 5 (Iglewicz and
    Hoaglin, 1993, ask for 3.5; with thousands of cases that is too many).

    Parameters
    ----------
    dataset : Dataset
    workers : int
        Threads; each holds one case in memory.
    progress : callable
        Called with the number of cases done and of all.
    """
    one = partial(measure, labels=dataset.labels, ignore=dataset.ignore)
    measured = []
    with threads(workers) as pool:
        for case in pool.map(one, dataset.cases):
            measured.append(case)
            progress(len(measured), len(dataset.cases))
    remarks = [
        *(Remark(finding) for finding in dataset.findings),
        *_single(measured),
        *_patients(dataset),
        *_repeated(measured),
        *_similar(measured),
        *_grids(measured),
        *_labels(dataset, measured),
    ]
    order = {"error": 0, "warning": 1, "info": 2}
    ranked = sorted(remarks, key=lambda one: (order[one.finding.level], one.finding.code))
    return Report(dataset.name, len(dataset.cases), tuple(ranked))


def _remark(level: Level, code: str, words: str, *cases: str) -> Remark:
    return Remark(Finding(level, code, words), cases, _DO.get(code, ""))


def _single(measured: Iterable[Measured]) -> Iterator[Remark]:
    """Yield what is odd about single cases."""
    for case in measured:
        if case.refusal is not None:
            finding = Finding("error", case.refusal.code, case.refusal.found)
            yield Remark(finding, (case.name,), case.refusal.do)
            continue
        for one in case.findings:
            if one.level != "info":
                level: Level = "error" if one.code == "not-finite" else one.level
                yield _remark(level, one.code, one.words, case.name)
        for channel in case.constant:
            words = f"Channel {channel} has one value everywhere"
            yield _remark("warning", "image-constant", words, case.name)
        if not case.labels:
            yield _remark("warning", "label-empty", "No voxel is labelled", case.name)


def _patients(dataset: Dataset) -> Iterator[Remark]:
    counts = Counter(case.patient for case in dataset.cases if case.patient)
    several = sum(count > 1 for count in counts.values())
    if several:
        words = (f"{several} of {len(counts)} patients have more than one case: folds keep them "
                 "together")  # fmt: skip
        yield _remark("info", "patients-grouped", words)
    for number, fold in enumerate(dataset.folds):
        if pair := divided(dataset.cases, fold):
            words = f"One patient is on both sides of fold {number}"
            yield _remark("error", "patient-divided", words, *dict.fromkeys(pair))


def _repeated(measured: Sequence[Measured]) -> Iterator[Remark]:
    """Yield images and label maps that are equal voxel by voxel."""
    images: dict[str, list[Measured]] = defaultdict(list)
    truths: dict[str, list[Measured]] = defaultdict(list)
    for case in measured:
        if case.image:
            images[case.image].append(case)
        if case.truth:
            truths[case.truth].append(case)
    for same in images.values():
        if len(same) > 1:
            level: Level = "warning" if _one_patient(same) else "error"
            words = f"{len(same)} cases have the same image, voxel by voxel"
            yield _remark(level, "image-repeated", words, *(case.name for case in same))
    for same in truths.values():
        if len({case.image for case in same}) > 1:
            words = f"{len(same)} cases have the same label map on different images"
            yield _remark("warning", "label-repeated", words, *(case.name for case in same))


def _one_patient(cases: Sequence[Measured]) -> bool:
    return len({case.patient or case.name for case in cases}) == 1


def _similar(measured: Sequence[Measured]) -> Iterator[Remark]:
    """Yield pairs of different patients whose thumbnails nearly agree.

    Scans of one kind resemble one another; from ten cases on, thumbnails have to agree in what
    sets them apart from the mean as well.
    """
    cases = [case for case in measured if case.thumbnail.any()]
    if len(cases) < 2:
        return
    whole = np.stack([case.thumbnail for case in cases]).astype(np.float32)  # (N, boxes)
    own, alike = whole, ALIKE_OF_FEW
    if len(cases) >= LEAST:
        alike = ALIKE
        own = whole - whole.mean(axis=0)
        own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-6)
    for start in range(0, len(cases), _BLOCK):
        near = (whole[start : start + _BLOCK] @ whole.T > alike) & (
            own[start : start + _BLOCK] @ own.T > ALIKE_OWN
        )
        for row, column in np.argwhere(near):
            one, other = cases[start + row], cases[column]
            if start + row < column and one.image != other.image and not _one_patient([one, other]):
                found = float(whole[start + row] @ whole[column])
                words = f"Two patients have nearly the same image (correlation {found:.3f})"
                yield _remark("warning", "image-similar", words, one.name, other.name)


def _grids(measured: Sequence[Measured]) -> Iterator[Remark]:
    read = [case for case in measured if case.spacing]
    if not read:
        return
    spacings = np.array([case.spacing for case in read])
    median = np.median(spacings, axis=0)
    for case, spacing in zip(read, spacings, strict=True):
        if (np.maximum(spacing / median, median / spacing) > TWICE).any():
            words = f"Voxels of {_by(spacing)} mm along R, A, S; the median is {_by(median)}"
            yield _remark("warning", "spacing-unlike", words, case.name)
    codes = Counter(case.orientation for case in read)
    if len(codes) > 1:
        told = ", ".join(f"{count} {code}" for code, count in codes.most_common())
        words = f"Files have their axes in {len(codes)} orders: {told}; medseg turns them to one"
        yield _remark("info", "orientation-mixed", words)


def _by(sizes: np.ndarray) -> str:
    return " x ".join(f"{size:.3g}" for size in sizes)


def _labels(dataset: Dataset, measured: Sequence[Measured]) -> Iterator[Remark]:
    """Yield labels that no case has, and those that are unlike the same label elsewhere."""
    for label in dataset.labels.plain:
        holders = [case for case in measured if label.value in case.labels]
        if not holders:
            words = f"No case has the label {label.name}"
            yield _remark("warning", "label-never", words)
        if len(holders) < LEAST:
            continue
        seen = [case.labels[label.value] for case in holders]
        for what, numbers, told in _numbers(seen):
            farthest = np.abs(scores(numbers, _SPREADS[what])).max(axis=1)
            for n in np.flatnonzero(farthest > FAR).tolist():
                words = f"{label.name}: {told(n)}"
                yield _remark("warning", f"{what}-unlike", words, holders[n].name)


def _numbers(
    seen: Sequence[Seen],
) -> Iterator[tuple[str, np.ndarray, Callable[[int], str]]]:
    """Yield what is compared between cases ``(N, features)``, and how it is told of one."""
    volumes = np.array([one.volume_ml for one in seen])
    middle = np.median(volumes)
    yield ("volume", np.log(volumes)[:, None],
           lambda n: f"{volumes[n]:.3g} ml, the median is {middle:.3g} ml")  # fmt: skip
    contrasts = np.array([one.contrast for one in seen])
    usual = np.median(contrasts)
    yield ("contrast", contrasts[:, None],
           lambda n: f"its mean lies {contrasts[n]:+.2f} deviations from the image's, "
                     f"in the median case {usual:+.2f}")  # fmt: skip
    places = np.array([one.place for one in seen])
    centre = np.median(places, axis=0)
    yield ("place", places,
           lambda n: f"its centre lies at {_share(places[n])} of the scan along R, A, S, "
                     f"in the median case at {_share(centre)}")  # fmt: skip


def _share(place: np.ndarray) -> str:
    return ", ".join(f"{100 * one:.0f} %" for one in place)


def scores(numbers: np.ndarray, least: float) -> np.ndarray:
    """Return robust z-scores of ``(N, features)``, with a spread of at least ``least``.

    Examples
    --------
    >>> scores(np.array([[1.0], [2.0], [3.0], [4.0], [100.0]]), 0.1)[-1].round(1)
    array([65.4])
    """
    away = numbers - np.median(numbers, axis=0)
    spread = np.median(np.abs(away), axis=0) / 0.6745  # the deviation of a normal spread
    scored: np.ndarray = away / np.maximum(spread, least)
    return scored
