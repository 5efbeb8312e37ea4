"""What ``model.json`` holds, and reading it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, ValidationError, model_validator

from medseg.errors import MedsegError, ModelRefused
from medseg.models.calibration import Calibration
from medseg.models.card import Card
from medseg.models.container import RECORD, check_size, open_file
from medseg.models.postprocessing import Evidence, Step
from medseg.plan import Frozen, Plan

FORMAT = 1
RECORD_LIMIT = 4 << 20  # bytes of model.json; a plan of 100 labels takes 40 kB
PLAIN_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"

PlainName = Annotated[str, Field(pattern=PLAIN_NAME)]
Shapes = dict[str, tuple[NonNegativeInt, ...]]


class StoredFile(Frozen):
    """What the record says of a file beside it."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: NonNegativeInt


class _Network(Frozen):
    """A further network of an ensemble; without a plan it has that of the record."""

    file: PlainName
    plan: Plan | None = None
    weights: Shapes


class Record(Frozen):
    """The content of ``model.json``; what most packages lack stands last, with a default."""

    format: Literal[1] = 1  # FORMAT
    name: PlainName
    version: PlainName
    plan: Plan
    card: Card
    files: dict[PlainName, StoredFile]
    weights: Shapes
    ensemble: tuple[_Network, ...] = ()
    postprocessing: tuple[Step, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    calibration: Calibration | None = None

    @model_validator(mode="after")
    def _networks_fit_together(self) -> Record:
        for number, network in enumerate(self.ensemble, 2):
            plan = network.plan or self.plan
            if plan.labels != self.plan.labels or plan.outputs != self.plan.outputs:
                raise ValueError(f"network {number} of the ensemble has other labels")
            if [one.name for one in plan.channels] != [one.name for one in self.plan.channels]:
                raise ValueError(f"network {number} of the ensemble wants other channels")
        return self

    @model_validator(mode="after")
    def _steps_have_labels(self) -> Record:
        known = {label.value for label in self.plan.labels}
        for step in self.postprocessing:
            if step.label is not None and step.label not in known:
                raise ValueError(f"post-processing names the label {step.label}, "
                                 "which the plan has not")  # fmt: skip
        return self


def record_in(path: Path, sizes: Mapping[str, int]) -> tuple[Record, str]:
    """Return the checked content of ``model.json``, and its hash."""
    if RECORD not in sizes:
        raise ModelRefused(
            "package-foreign",
            f"{path.name!r} holds no {RECORD}",
            do="Give the folder or zip that medseg wrote, or the name of a shipped model",
        )
    check_size(RECORD, sizes[RECORD], RECORD_LIMIT)
    with open_file(path, RECORD) as stream:
        content = parsed(stream.read(RECORD_LIMIT + 1), RECORD)
    version = content.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise ModelRefused(
            "package-newer",
            f"The package has format {version}, this medseg reads {FORMAT}",
            do="Update medseg",
        )
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        raise ModelRefused("package-invalid", f"{RECORD}: {first_fault(error)}") from error
    except MedsegError as error:  # labels that contradict themselves
        raise ModelRefused("package-invalid", f"{RECORD}: {error.found}") from error
    canonical = json.dumps(content, sort_keys=True, allow_nan=False)
    return record, hashlib.sha256(canonical.encode()).hexdigest()


def first_fault(error: ValidationError) -> str:
    """Say where the first fault of a record lies and what it is."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'record'}: {first['msg']}"


def parsed(data: bytes, name: str) -> dict[str, Any]:
    """Return a JSON object; ``package-invalid`` where the bytes hold none."""
    try:
        content = json.loads(data.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ModelRefused("package-invalid", f"{name} is not JSON that medseg reads") from error
    if not isinstance(content, dict):
        raise ModelRefused("package-invalid", f"{name} holds no record")
    return content


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
