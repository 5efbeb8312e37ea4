"""Which group a case belongs to: a column, a fact of the scanner, or its spacing."""

from __future__ import annotations

from medseg.evaluation.judging import Judged
from medseg.evaluation.match import Pair
from medseg.reading.facts import FACTS, fact_of

SPACING = "spacing"


def group_of(pair: Pair, judged: Judged, by: str) -> str:
    """Return what a case says of ``by``; empty where it says nothing.

    A column of the manifest or table wins; then ``spacing``, the coarsest voxel side in mm;
    then a DICOM attribute of the scan, one of :data:`medseg.reading.facts.FACTS`.
    """
    column = by.strip().lower()
    if column in pair.about:
        return pair.about[column]
    if column == SPACING:
        return f"{max(judged.spacing_mm):.3g}" if judged.spacing_mm else ""
    names = {name.lower(): name for name in FACTS}
    if column in names:
        return fact_of(pair.image, names[column]) if pair.image is not None else ""
    return ""
