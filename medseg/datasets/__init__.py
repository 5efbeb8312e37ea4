"""Labelled cases on disk: layouts, splits, checks, and the store of prepared cases."""

from medseg.datasets.dataset import Case, Dataset, read_case
from medseg.datasets.layouts import open_dataset
from medseg.datasets.splits import Fold, fold_of, split

__all__ = ["Case", "Dataset", "Fold", "fold_of", "open_dataset", "read_case", "split"]
