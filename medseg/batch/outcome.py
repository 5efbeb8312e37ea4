"""What became of each case of a run, and of the run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from medseg.errors import InputRefused, MedsegError
from medseg.findings import Finding

Status = Literal["done", "resumed", "left out", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case.

    Attributes
    ----------
    case : str
        Folder name of its output.
    status : str
        ``done``; ``resumed``, whole from an earlier run; ``left out``, not asked for (another
        modality, no scan); ``refused``, the input is to blame; ``failed`` on the way.
    code, why : str
        Of a refusal, a failure or a choice; empty when done.
    modality, shape, spacing_mm : str, tuples
        Of the scan, as far as known.
    input : dict
        Number of files and the SHA-256 over theirs.
    volumes_ml : dict of float
        Of each label.
    classification : dict
        Of a classifier: label, probabilities, prediction set; empty where there was none.
    outputs : dict
        For each format its file, relative to the run's folder, and the SHA-256.
    seconds : dict of float
        Of each stage.
    findings : tuple of Finding
    provenance : dict
        Model, plan, engine, precision and versions.
    """

    case: str
    status: Status
    code: str = ""
    why: str = ""
    modality: str = ""
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    input: dict[str, Any] = field(default_factory=dict)
    volumes_ml: dict[str, float] = field(default_factory=dict)
    classification: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return plain values for ``case.json`` and ``run.json``."""
        told = asdict(self)
        if not self.classification:
            del told["classification"]
        return told


def unsuccessful(case: str, error: MedsegError | OSError | MemoryError, **known: Any) -> Outcome:
    """Return the outcome of a case that ended in an error: refused for its input, else failed."""
    if isinstance(error, MemoryError):
        error = InputRefused("memory-short", "There is not enough memory for this scan",
                             do="Close other programs, or use a larger machine")  # fmt: skip
    elif isinstance(error, OSError):
        words = (error.strerror or type(error).__name__).lower()
        error = InputRefused("file-unreadable", f"Reading failed: {words}",
                             do="Check the disk and try again")  # fmt: skip
    status: Status = "refused" if isinstance(error, InputRefused) else "failed"
    return Outcome(case, status, code=error.code, why=str(error), **known)


@dataclass(frozen=True, slots=True)
class Run:
    """A run over one scan or many.

    Attributes
    ----------
    outcomes : tuple of Outcome
        In the order of the scan.
    skipped : dict of int
        Files that are no images, counted by reason.
    seconds : float
        Of the whole run.
    complete : bool
        False when the run was interrupted before its last case.
    """

    outcomes: tuple[Outcome, ...]
    skipped: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    complete: bool = True

    def count(self, *statuses: Status) -> int:
        """Return how many cases have one of these statuses."""
        return sum(outcome.status in statuses for outcome in self.outcomes)

    @property
    def exit_status(self) -> int:
        """0 all done, 3 refused, 5 failed, 6 some of several refused or failed."""
        refused, failed = self.count("refused"), self.count("failed")
        if not refused + failed:
            return 0
        if self.count("done", "resumed") or (refused and failed):
            return 6
        return 3 if refused else 5
