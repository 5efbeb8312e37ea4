"""How well what has nothing to do with the disease predicts the class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medseg.metrics.classification import delong_interval, roc_auc
from medseg.volume import Volume

BINS = 8  # quantiles of a number: coarse enough for a class of twenty
FOLDS = 5
TOGETHER = "all of these"
MARK_SIZE = 5  # pixels: calipers and letters are thinner, anatomy is not
MARK_CONTRAST = 0.35  # of the image's range above what surrounds it


def traits(volume: Volume) -> dict[str, float]:
    """Return numbers of an image that a person would not diagnose from.

    Its size along each axis and its voxel size, where it lies along the slice axis, mean and
    deviation of its values, brightness of its edge, and how many small bright marks it has
    (calipers and letters that are burned in, but thin anatomy too): places that a grey opening
    of five pixels takes away and that stand out by more than a third of the range.
    """
    grid = volume.geometry
    image = volume.array if volume.channels == 1 else volume.array.mean(axis=-1)
    image = image.reshape(grid.shape)
    low, high = float(image.min()), float(image.max())
    edge = np.ones(image.shape, bool)
    edge[tuple(slice(1, -1) if size > 2 else slice(None) for size in image.shape)] = False
    return {
        "size": float(math.prod(grid.shape)),
        "proportions": grid.shape[0] / grid.shape[1],
        "voxel size": float(math.prod(grid.spacing)),
        "slice position": float(grid.affine[2, 3]),
        "mean intensity": float(image.mean()),
        "contrast": float(image.std()),
        "brightness of the edge": float(image[edge].mean()),
        "small bright marks": float(_marks(image, low, high)),
    }


def _marks(image: np.ndarray, low: float, high: float) -> int:
    """Return the number of small bright marks of the middle slice."""
    if high <= low:
        return 0
    plane = image[:, :, image.shape[2] // 2]
    thin = plane - ndimage.grey_opening(plane, size=MARK_SIZE)
    return int(ndimage.label(thin > MARK_CONTRAST * (high - low), np.ones((3, 3)))[1])


@dataclass(frozen=True, slots=True)
class Shortcut:
    """How well one trait, or all together, tells one class from the others.

    Attributes
    ----------
    trait, label : str
    auc, low, high : float
        Area under the ROC curve of cases that the fit had not seen, and its 95 % interval.
    """

    trait: str
    label: str
    auc: float
    low: float
    high: float


def shortcuts(
    found: Mapping[str, np.ndarray],
    labels: np.ndarray,
    groups: Sequence[str],
    classes: Sequence[str],
) -> list[Shortcut]:
    """Return for each trait the class it predicts best, best first; ``all of these`` among them.

    Each trait is cut into eight quantiles; how often each class falls into them, counted on
    four fifths of the groups, scores the last fifth. Several traits add up their logarithms
    (naive Bayes). What is constant is left out.

    Parameters
    ----------
    found : mapping of (N,) float arrays
        Traits by name.
    labels : (N,) integer array
    groups : sequence of str
        Of each case; never on both sides.
    classes : sequence of str
    """
    names = np.unique(np.asarray(groups), return_inverse=True)[1]
    order = np.random.default_rng(0).permutation(names.max() + 1)
    fold = order[names] % FOLDS
    varied = {trait: values for trait, values in found.items() if np.ptp(values) > 0}
    scores = {
        trait: _scores(values, labels, fold, len(classes)) for trait, values in varied.items()
    }
    if len(scores) > 1:
        scores[TOGETHER] = np.sum(list(scores.values()), axis=0)
    best = [_best(trait, score, labels, classes) for trait, score in scores.items()]
    return sorted((one for one in best if not math.isnan(one.auc)), key=lambda one: -one.auc)


def _scores(values: np.ndarray, labels: np.ndarray, fold: np.ndarray, classes: int) -> np.ndarray:
    """Return the log share of each class in a case's quantile, from other folds, ``(N, C)``."""
    scores = np.zeros((len(values), classes))
    for number in range(FOLDS):
        inside = fold == number
        if inside.all() or not inside.any():
            continue
        edges = np.unique(np.quantile(values[~inside], np.linspace(0, 1, BINS + 1)[1:-1]))
        place = np.searchsorted(edges, values, side="right")
        counts = np.zeros((len(edges) + 1, classes))
        np.add.at(counts, (place[~inside], labels[~inside]), 1)
        shares = (counts + 1) / (counts + 1).sum(axis=0)  # of each class, in each quantile
        scores[inside] = np.log(shares / shares.mean(axis=1, keepdims=True))[place[inside]]
    return scores


def _best(trait: str, scores: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Shortcut:
    found = []
    for number, name in enumerate(classes):
        truth = labels == number
        # against the mean of the others: of two classes both tell the same
        score = scores[:, number] - np.delete(scores, number, axis=1).mean(axis=1)
        found.append((roc_auc(truth, score), name, *delong_interval(truth, score)))
    auc, name, low, high = max(found, key=lambda one: -1.0 if math.isnan(one[0]) else one[0])
    return Shortcut(trait, name, auc, low, high)
