"""How far a classifier's word can be taken: measured on held-out cases, kept in its package."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from medseg.plan import Frozen

DOMAIN_SHARE = 0.99  # of the training's own images count as in domain
SHRINKAGE = 0.1  # of the covariance towards its diagonal: few images, some numbers nearly constant


class Domain(Frozen):
    """What the training's images look like, see :func:`medseg.preparing.appearance`.

    An image is out of domain when its Mahalanobis distance from their mean is larger than that
    of 99 of 100 of themselves. It catches other anatomy, other preparation, noise and inverted
    grey levels; it does not know what a disease looks like.

    Attributes
    ----------
    mean : tuple of float
    precision : tuple of tuples of float
        Inverse of the covariance.
    limit : float
        Distance beyond which an image is strange.
    cases : int
        Images it was measured on.
    """

    mean: tuple[float, ...] = Field(min_length=1)
    precision: tuple[tuple[float, ...], ...]
    limit: PositiveFloat
    cases: PositiveInt

    def distance(self, appearance: np.ndarray) -> float:
        """Return the Mahalanobis distance of an image's numbers ``(D,)``."""
        off = appearance - np.asarray(self.mean)
        return float(np.sqrt(max(0.0, off @ np.asarray(self.precision) @ off)))


def domain_of(appearances: np.ndarray) -> Domain:
    """Return the domain of a training from the numbers ``(N, D)`` of its images."""
    mean = appearances.mean(axis=0)
    spread = np.atleast_2d(np.cov(appearances, rowvar=False, bias=True))
    spread = (1 - SHRINKAGE) * spread + SHRINKAGE * np.diag(np.diag(spread))
    # a number that never varied in training is still allowed a little
    spread += np.diag(np.maximum(1e-6, 1e-6 * np.square(mean)))
    precision = np.linalg.inv(spread)
    off = appearances - mean
    distances = np.sqrt(np.einsum("nd,de,ne->n", off, precision, off))
    return Domain(
        mean=tuple(mean.tolist()),
        precision=tuple(tuple(row) for row in precision.tolist()),
        limit=max(float(np.quantile(distances, DOMAIN_SHARE)), 1e-6),
        cases=len(appearances),
    )


class Calibration(Frozen):
    """What turns logits into probabilities and sets.

    Attributes
    ----------
    temperature : float
        Logits are divided by it (Guo et al., ICML 2017).
    alpha : float
        Share of cases whose prediction set may lack the truth.
    threshold : float
        Of :func:`medseg.metrics.conformal.prediction_sets` on calibrated probabilities.
    measured_on : str
        Which cases, and how many.
    cases : int
    domain : Domain or None
    """

    temperature: PositiveFloat
    alpha: Annotated[float, Field(gt=0, lt=1)]
    threshold: float
    measured_on: str = Field(min_length=1)
    cases: PositiveInt
    domain: Domain | None = None
