"""What is odd about labelled images, before a classifier learns it."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from medseg.datasets.check import Remark, Report
from medseg.datasets.images import LabelledImage, LabelledImages, problems
from medseg.datasets.shortcuts import TOGETHER, Shortcut, shortcuts, traits
from medseg.errors import InputRefused
from medseg.findings import Finding, Level

EDGE = 24  # pixels of the small copies that are compared
ALIKE = 0.95  # correlation of what sets two images apart from the mean image
BLOCK = 512  # copies that are compared with all others at a time
UNEVEN = 10  # times more cases than the rarest class has
FEW = 20  # cases: below that a class can hardly be learned or judged
SHORTCUT = 0.55  # an AUC whose interval lies above it is more than chance
LISTED = 6  # cases that a remark names

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, slots=True)
class _Seen:
    """What is kept of an image that was read."""

    case: LabelledImage
    digest: str
    small: np.ndarray  # (EDGE, EDGE), standardised
    traits: dict[str, float]
    shape: tuple[int, ...]


def check_images(
    dataset: LabelledImages, *, progress: Progress = lambda done, total: None
) -> Report:
    """Read every image of a data set and report what is odd; a bad image stops nothing.

    Errors are what training refuses or what makes its figures worthless: images that cannot be
    read, a class with one case, one group or one image in two parts of the split, one image
    with two labels. Warnings are for a person to look at: near copies, uneven classes, and
    shortcuts, see :func:`medseg.datasets.shortcuts.shortcuts`.

    Parameters
    ----------
    dataset : LabelledImages
        As :func:`medseg.datasets.images.listed_images` gives it.
    progress : callable
        Called with the number of images done and of all.
    """
    remarks = [Remark(Finding("error", one.code, one.found), (), one.do)
               for one in problems(dataset)]  # fmt: skip
    seen: list[_Seen] = []
    for done, case in enumerate(dataset.cases):
        progress(done, len(dataset.cases))
        try:
            seen.append(_seen(case))
        except InputRefused as refusal:
            finding = Finding("error", refusal.code, refusal.found)
            remarks.append(Remark(finding, (case.name,), refusal.do))
    progress(len(dataset.cases), len(dataset.cases))
    remarks += [*_balance(dataset), *_groups(dataset), *_sizes(seen)]
    remarks += [*_copies(seen), *_near_copies(seen), *_shortcuts(seen, dataset.classes)]
    order = {"error": 0, "warning": 1, "info": 2}
    ranked = sorted(remarks, key=lambda one: order[one.finding.level])
    return Report(dataset.name, len(dataset.cases), tuple(ranked))


def _seen(case: LabelledImage) -> _Seen:
    volume = case.read()
    image = volume.array if volume.channels == 1 else volume.array.mean(axis=-1)
    image = image.reshape(volume.geometry.shape)
    plane = np.ascontiguousarray(image[:, :, image.shape[2] // 2], np.float32)
    small = cv2.resize(plane, (EDGE, EDGE), interpolation=cv2.INTER_AREA)
    small = (small - small.mean()) / max(float(small.std()), 1e-6)
    digest = hashlib.sha256(np.ascontiguousarray(volume.array).tobytes()).hexdigest()
    return _Seen(case, digest, small, traits(volume), volume.array.shape)


def _remark(level: Level, code: str, words: str, cases: Sequence[str] = (), do: str = "") -> Remark:
    return Remark(Finding(level, code, words), tuple(cases)[:LISTED], do)


def _balance(dataset: LabelledImages) -> Iterator[Remark]:
    for part in ("", "train", "val", "test"):
        cases = dataset.part(part)
        if not cases:
            continue
        counts = dataset.counts(cases)
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        where = f"{part}: " if part else ""
        yield _remark("info", "class-counts", f"{where}{told}")
        least, most = min(counts.values()), max(counts.values())
        if not least:
            yield _remark("warning", "class-absent", f"{where}a class has no case ({told})",
                          do="Split anew, class by class")  # fmt: skip
        elif most > UNEVEN * least or (part in ("", "train") and least < FEW):
            yield _remark("warning", "class-uneven", f"{where}{told}", do="Never judge by accuracy "
                          "alone; collect more of the rarest class")  # fmt: skip


def _groups(dataset: LabelledImages) -> Iterator[Remark]:
    groups = len({case.group for case in dataset.cases})
    if groups == len(dataset.cases):
        words = "Nothing says which images are of one patient: each counts as its own"
        yield _remark("warning", "groups-unknown", words,
                      do="Give a column or array of groups where you know them")  # fmt: skip
    else:
        yield _remark("info", "groups", f"{len(dataset.cases)} images of {groups} groups")


def _sizes(seen: Sequence[_Seen]) -> Iterator[Remark]:
    shapes: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for one in seen:
        shapes[one.shape].append(one.case.name)
    if len(shapes) > 1:
        rarest = min(shapes.values(), key=len)
        words = f"Images have {len(shapes)} different sizes"
        yield _remark("warning", "size-differs", words, rarest,
                      do="Train with plan.fit: crop or resize")  # fmt: skip


def _copies(seen: Sequence[_Seen]) -> Iterator[Remark]:
    copies: dict[str, list[_Seen]] = defaultdict(list)
    for one in seen:
        copies[one.digest].append(one)
    sets = [same for same in copies.values() if len(same) > 1]
    yield from _told("image-repeated", "are exact copies", sets)


def _near_copies(seen: Sequence[_Seen]) -> Iterator[Remark]:
    """Yield images that differ from the mean image in almost the same way."""
    if len(seen) < 3:
        return
    flat = np.stack([one.small.ravel() for one in seen])  # (N, EDGE * EDGE)
    flat = flat - flat.mean(axis=0)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    pairs = []
    for start in range(0, len(flat), BLOCK):
        alike = flat[start : start + BLOCK] @ flat.T > ALIKE
        pairs.append(np.argwhere(alike) + np.array([start, 0]))
    first, second = np.concatenate(pairs).T
    count, number = connected_components(
        coo_array((np.ones(len(first)), (first, second)), shape=(len(seen), len(seen)))
    )
    sets: list[list[_Seen]] = [[] for _ in range(count)]
    for one, place in zip(seen, number.tolist(), strict=True):
        sets[place].append(one)
    # exact copies are told of by themselves
    near = [same for same in sets if len({one.digest for one in same}) > 1]
    yield from _told("image-similar", "are near copies", near)


def _told(code: str, words: str, sets: Sequence[Sequence[_Seen]]) -> Iterator[Remark]:
    """Yield a remark for copies in several parts, with several labels, and for the others."""
    grave: Level = "error" if code == "image-repeated" else "warning"

    def cases(chosen: Sequence[Sequence[_Seen]]) -> list[str]:
        return [one.case.name for same in chosen for one in same]

    between = [same for same in sets if len({one.case.part for one in same}) > 1]
    contrary = [same for same in sets if len({one.case.label for one in same}) > 1]
    inside = [same for same in sets if same not in between and same not in contrary]
    if between:
        yield _remark(grave, code, f"{_images(between)} {words} of images in another part of the "
                      "split: figures will flatter", cases(between),
                      "Keep copies in one part of the split")  # fmt: skip
    if contrary:
        yield _remark(grave, code, f"{_images(contrary)} {words} and have different labels",
                      cases(contrary), "Find the true label, or leave them out")  # fmt: skip
    if inside:
        yield _remark("warning", code, f"{_images(inside)} {words}", cases(inside),
                      "Leave copies out, or give them one group")  # fmt: skip


def _images(sets: Sequence[Sequence[_Seen]]) -> str:
    count = len({one.case.name for same in sets for one in same})
    return f"{count} images in {len(sets)} set{'s' * (len(sets) > 1)}"


def _shortcuts(seen: Sequence[_Seen], classes: Sequence[str]) -> Iterator[Remark]:
    labels = np.array([one.case.label for one in seen])
    if len(seen) < FEW or len(set(labels.tolist())) < 2:
        return
    found = {trait: np.array([one.traits[trait] for one in seen]) for trait in seen[0].traits}
    ranked = shortcuts(found, labels, [one.case.group for one in seen], classes)
    strong = [one for one in ranked if one.low > SHORTCUT]
    for one in strong:
        yield _remark("warning", "shortcut", f"{_words(one)}: a network may learn that in place "
                      "of the disease", do="See whether it is anatomy or acquisition; crop, paint "
                      "over or balance it")  # fmt: skip
    if weak := [one for one in ranked if one not in strong]:
        told = "; ".join(_words(one) for one in weak)
        yield _remark("info", "shortcut-none", f"No shortcut: {told}")


def _words(one: Shortcut) -> str:
    low, high = (("?" if math.isnan(x) else f"{x:.2f}") for x in (one.low, one.high))
    tells = "together tell" if one.trait == TOGETHER else "alone tells"
    return f"{one.trait} {tells} {one.label} with an AUC of {one.auc:.2f} ({low} to {high})"
