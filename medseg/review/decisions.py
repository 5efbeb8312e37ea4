"""What a reader decided, as the worksheet saves it: a checked record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medseg.errors import InputRefused

LARGEST_BYTES = 32 << 20  # of a decisions file: 100,000 cases with a line each take less

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Verdict = Literal["accept", "reject", "edit"]


class Decision(BaseModel):
    """What was decided about one mask.

    Attributes
    ----------
    case : str
        Name of its folder.
    mask_sha256 : str
        Of the very file that was judged; on another one the decision says nothing.
    verdict : {"accept", "reject", "edit"}
    reason : str
        In the reader's words; never empty for a mask that is not accepted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str = Field(min_length=1)
    mask_sha256: Sha256
    verdict: Verdict
    reason: str = Field("", max_length=2000)

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        if self.verdict != "accept" and not self.reason.strip():
            raise ValueError("a mask that is not accepted needs a reason")
        return self


class Decisions(BaseModel):
    """A ``decisions.json``: every decision of one reader over one folder of results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    reader: str = Field("", max_length=100)
    decisions: tuple[Decision, ...]

    @model_validator(mode="after")
    def _each_case_once(self) -> Self:
        if len({one.case for one in self.decisions}) < len(self.decisions):
            raise ValueError("a case comes twice")
        return self


def load_decisions(path: Path) -> Decisions:
    """Read a decisions file.

    Raises
    ------
    InputRefused
        ``decisions-missing``: it cannot be read; ``decisions-damaged``: it is not what a
        worksheet saves, and where.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise _damaged(f"It is larger than {LARGEST_BYTES >> 20} MiB")
        text = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise InputRefused(
            "decisions-missing",
            f"The decisions cannot be read: {reason}",
            do="Give the decisions.json that the worksheet saved",
        ) from error
    try:
        return Decisions.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise _damaged(f"{place + ': ' if place else ''}{problem['msg']}") from error


def _damaged(what: str) -> InputRefused:
    return InputRefused("decisions-damaged", f"This is no whole decisions file. {what}",
                        do="Save it again from the worksheet")  # fmt: skip
