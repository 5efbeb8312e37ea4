"""How good masks and classes are: predictions against references, models against another."""

from medseg.evaluation.classification import Classification
from medseg.evaluation.compare import compare
from medseg.evaluation.comparison import Comparison
from medseg.evaluation.evaluate import evaluate
from medseg.evaluation.evaluate_classes import evaluate_classes
from medseg.evaluation.judging import Judged, Options, Row
from medseg.evaluation.labelling import load_labels
from medseg.evaluation.match import Pair, matched
from medseg.evaluation.outcome import Evaluation, LabelSummary

__all__ = [
    "Classification", "Comparison", "Evaluation", "Judged", "LabelSummary", "Options", "Pair",
    "Row", "compare", "evaluate", "evaluate_classes", "load_labels", "matched",
]  # fmt: skip
