from .batch import Outcome, Run, convert, segment
from .datasets import open_dataset
from .errors import (
    EngineFailed,
    GeometryRefused,
    InputRefused,
    MedsegError,
    ModelRefused,
    OutputFailed,
    PlanRefused,
)
from .evaluation import compare, evaluate
from .findings import Finding
from .geometry import Geometry
from .inference import Segmenter
from .labels import Code, Label, LabelSet
from .models import ModelPackage
from .plan import Plan
from .reading import Series, read, read_labels, scan
from .result import Result
from .training import load_config, train
from .volume import LabelMap, Volume

__version__: str

__all__ = [
    "Code",
    "EngineFailed",
    "Finding",
    "Geometry",
    "GeometryRefused",
    "InputRefused",
    "Label",
    "LabelMap",
    "LabelSet",
    "MedsegError",
    "ModelPackage",
    "ModelRefused",
    "Outcome",
    "OutputFailed",
    "Plan",
    "PlanRefused",
    "Result",
    "Run",
    "Segmenter",
    "Series",
    "Volume",
    "compare",
    "convert",
    "evaluate",
    "load_config",
    "open_dataset",
    "read",
    "read_labels",
    "scan",
    "segment",
    "train",
]
