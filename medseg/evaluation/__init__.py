"""How good masks are: predictions against references, models against one another."""

from medseg.evaluation.evaluate import evaluate
from medseg.evaluation.judging import Judged, Options, Row
from medseg.evaluation.labelling import load_labels
from medseg.evaluation.match import Pair, matched
from medseg.evaluation.outcome import Evaluation, LabelSummary

__all__ = [
    "Evaluation", "Judged", "LabelSummary", "Options", "Pair", "Row", "evaluate", "load_labels",
    "matched",
]  # fmt: skip
