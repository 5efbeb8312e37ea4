"""How good masks are: predictions against references, models against one another."""

from medseg.evaluation.compare import compare
from medseg.evaluation.comparison import Comparison
from medseg.evaluation.evaluate import evaluate
from medseg.evaluation.judging import Judged, Options, Row
from medseg.evaluation.labelling import load_labels
from medseg.evaluation.match import Pair, matched
from medseg.evaluation.outcome import Evaluation, LabelSummary

__all__ = [
    "Comparison", "Evaluation", "Judged", "LabelSummary", "Options", "Pair", "Row", "compare",
    "evaluate", "load_labels", "matched",
]  # fmt: skip
