"""Many scans in one go: one loaded model, nothing lost, a bad one does not stop the rest."""

from medseg.batch.classifying import classify
from medseg.batch.converting import convert
from medseg.batch.outcome import Outcome, Run
from medseg.batch.segmenting import segment

__all__ = ["Outcome", "Run", "classify", "convert", "segment"]
