"""A folder of results of ``medseg segment``: records that are checked, files that are whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medseg.errors import InputRefused
from medseg.exporting import FILES
from medseg.files import sha256
from medseg.findings import Level
from medseg.labels import Label, LabelSet
from medseg.review.decisions import Sha256

CASE_RECORD, RUN_RECORD = "case.json", "run.json"
_DONE = ("done", "resumed")

Millilitres = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # a later medseg may say more


class Output(_Read):
    """A file of a case and its hash when it was written."""

    file: str
    sha256: Sha256


class Told(_Read):
    """A finding as it was recorded."""

    level: Level
    code: str
    words: str


class CaseRecord(_Read):
    """What ``case.json`` and ``run.json`` say of a case."""

    format: Literal[1] = 1
    case: str = Field(min_length=1)
    status: Literal["done", "resumed", "left out", "refused", "failed"]
    code: str = ""
    why: str = ""
    modality: str = ""
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    volumes_ml: dict[str, Millilitres] = {}
    outputs: dict[str, Output] = {}
    findings: tuple[Told, ...] = ()
    provenance: dict[str, Any] = {}


class _RunRecord(_Read):
    format: Literal[1]
    cases: tuple[CaseRecord, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A segmented case whose files are those of its record."""

    folder: Path
    record: CaseRecord

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.record.case

    @property
    def mask_sha256(self) -> str:
        """Hash of the mask that is judged: the NIfTI file, or else the DICOM SEG."""
        outputs = self.record.outputs
        return (outputs.get("nifti") or outputs["seg"]).sha256

    @property
    def model(self) -> dict[str, Any]:
        """Name, version and hash of the model."""
        model = self.record.provenance.get("model")
        return model if isinstance(model, dict) else {}

    @property
    def model_name(self) -> str:
        """Name of the model; empty where the record has none."""
        return str(self.model.get("name", ""))

    @property
    def labels(self) -> LabelSet | None:
        """What the values of the mask mean, if the record says so."""
        told = self.record.provenance.get("labels")
        try:
            return LabelSet(tuple(Label(int(value), name) for name, value in told.items()))  # type: ignore[union-attr]
        except (AttributeError, TypeError, ValueError, InputRefused):
            return None

    def file(self, form: str) -> Path | None:
        """Return the file of a format, if there is one."""
        return self.folder / FILES[form] if form in self.record.outputs else None


@dataclass(frozen=True, slots=True)
class Missing:
    """A case that cannot be judged, and why."""

    case: str
    status: str
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class Results:
    """The cases of a folder that can be judged, and the others."""

    cases: tuple[Case, ...]
    missing: tuple[Missing, ...]

    @property
    def damaged(self) -> int:
        """How many cases were segmented, but are no longer what was written."""
        return sum(one.status == "damaged" for one in self.missing)


def results_of(out: Path) -> Results:
    """Read the records of a folder of results and hash every file against them.

    Cases are those with a ``case.json``, whichever run wrote it; ``run.json`` of the last run
    tells which scans have no mask. A case whose files are not those of its record is not to be
    judged: its picture shows another mask than the file holds.

    Raises
    ------
    InputRefused
        ``no-results``: nothing here was written by ``medseg segment``; ``record-damaged``:
        its ``run.json`` cannot be understood.
    """
    records = sorted(out.glob(f"*/{CASE_RECORD}"))
    if not records and not (out / RUN_RECORD).is_file():
        raise InputRefused("no-results", "There are no results of medseg segment here",
                           do="Give the folder that medseg segment wrote to")  # fmt: skip
    of_run = _of_run(out / RUN_RECORD)
    cases: list[Case] = []
    missing: list[Missing] = []
    for path in records:
        folder = path.parent
        last = of_run.pop(folder.name, None)
        record = _checked(path, CaseRecord)
        problem = _problem(folder, record, last)
        if record is None or problem:
            missing.append(Missing(folder.name, "damaged", "result-changed", problem))
        else:
            cases.append(Case(folder, record))
    for name, last in of_run.items():
        if last.status in _DONE:
            gone = "Its folder is gone or not whole"
            missing.append(Missing(name, "damaged", "result-changed", gone))
        else:
            missing.append(Missing(name, last.status, last.code, last.why))
    return Results(tuple(cases), tuple(missing))


Record = TypeVar("Record", bound=BaseModel)


def _checked(path: Path, model: type[Record]) -> Record | None:
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _of_run(path: Path) -> dict[str, CaseRecord]:
    """Return what the last run says of each of its cases; nothing when it was killed."""
    if not path.exists():
        return {}
    run = _checked(path, _RunRecord)
    if run is None:
        raise InputRefused("record-damaged", "The run.json of these results cannot be understood",
                           do="Segment again with --resume: it writes the record anew")  # fmt: skip
    return {case.case: case for case in run.cases}


def _problem(folder: Path, record: CaseRecord | None, last: CaseRecord | None) -> str:
    """Say why a case cannot be judged; empty when it can."""
    if record is None or record.case != folder.name or record.status not in _DONE:
        return "Its case.json cannot be understood"
    if not {"nifti", "seg"} & record.outputs.keys():
        return "No mask was written"
    if last is not None and last.status in _DONE and last.outputs != record.outputs:
        return "Its case.json and the run.json tell of different files"
    for form, output in record.outputs.items():
        if output.file != FILES.get(form):
            return "Its case.json names a file that medseg does not write"
        try:
            same = sha256(folder / output.file) == output.sha256
        except OSError:
            return f"{output.file} is missing"
        if not same:
            return f"{output.file} was changed after the run"
    return ""
