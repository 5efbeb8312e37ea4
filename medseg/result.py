"""What a run makes of one case."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medseg.findings import Finding
from medseg.volume import LabelMap, Volume


@dataclass(frozen=True, eq=False, slots=True)
class Result:
    """A segmented case.

    Attributes
    ----------
    volume : Volume
        The scan as it was read.
    labels : LabelMap
        The mask, on the scan's own grid.
    probabilities : (I, J, K, classes) float32 array or None
        On the scan's own grid, background first; only when asked for.
    findings : tuple of Finding
        Of reading and of segmenting.
    timings : dict
        Seconds of each stage by its name.
    provenance : dict
        What is needed to run again: model, plan hash, engine, precision, versions.
    """

    volume: Volume
    labels: LabelMap
    probabilities: np.ndarray | None = None
    findings: tuple[Finding, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
