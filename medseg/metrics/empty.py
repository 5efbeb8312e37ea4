"""What a score is where a mask is empty: the one place that decides it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["scored", "both-empty", "missed", "false-alarm"]


def outcome_of(truth_voxels: int, predicted_voxels: int) -> Outcome:
    """Return which of two masks are empty, as a word.

    Examples
    --------
    >>> outcome_of(10, 0), outcome_of(0, 0)
    ('missed', 'both-empty')
    """
    if truth_voxels:
        return "scored" if predicted_voxels else "missed"
    return "false-alarm" if predicted_voxels else "both-empty"


@dataclass(frozen=True, slots=True)
class EmptyPolicy:
    """Scores of cases where the truth, the prediction or both hold nothing.

    The default: both empty is not counted (nan), since a case without the structure says
    nothing about how well it is outlined; a miss or a false alarm is the worst there is.
    Take means with ``np.nanmean`` and report how many cases went in.

    Attributes
    ----------
    overlap_of_both, distance_of_both : float
        Overlaps (Dice, IoU, NSD) and distances (mm) where both masks are empty.
    overlap_of_one, distance_of_one : float
        Likewise where only one is; a distance of None is the diagonal of the image in mm.

    Examples
    --------
    >>> EmptyPolicy().distance("missed", math.inf, diagonal_mm=373.1)
    373.1
    """

    overlap_of_both: float = math.nan
    overlap_of_one: float = 0.0
    distance_of_both: float = math.nan
    distance_of_one: float | None = None

    def overlap(self, outcome: Outcome, value: float) -> float:
        """Return an overlap as it counts: ``value`` where both masks hold something."""
        if outcome == "scored":
            return value
        return self.overlap_of_both if outcome == "both-empty" else self.overlap_of_one

    def distance(self, outcome: Outcome, value: float, diagonal_mm: float) -> float:
        """Return a distance in mm as it counts: ``value`` where both masks hold something."""
        if outcome == "scored":
            return value
        if outcome == "both-empty":
            return self.distance_of_both
        return diagonal_mm if self.distance_of_one is None else self.distance_of_one


NOT_COUNTED = EmptyPolicy()

EMPTY_POLICIES = {
    "medseg": NOT_COUNTED,
    # BraTS: agreeing that there is nothing is perfect; its 373.13 mm is the diagonal of its images
    "perfect": EmptyPolicy(overlap_of_both=1.0, distance_of_both=0.0),
    # DeepMind's surface-distance: a distance to nothing is infinite
    "infinite": EmptyPolicy(distance_of_one=math.inf),
    # what MONAI's default makes of distances, here of every score: misses vanish from the mean
    "ignored": EmptyPolicy(overlap_of_one=math.nan, distance_of_one=math.nan),
}
