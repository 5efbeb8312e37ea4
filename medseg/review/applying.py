"""From decisions to copies: the accepted masks for export, and a record of all the others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from medseg.errors import OutputFailed
from medseg.exporting import FILES
from medseg.files import make_folder, sha256, whole_file, whole_folder, write_json
from medseg.review.decisions import Decision, load_decisions
from medseg.review.results import Case, Missing, Results, results_of

RECORD = "worksheet.json"
COPIED = ("nifti", "seg")
FORMAT = 1

Fate = Literal["accepted", "rejected", "needs edit", "undecided", "refused"]
_FATES: dict[str, Fate] = {"accept": "accepted", "reject": "rejected", "edit": "needs edit"}


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a case.

    Attributes
    ----------
    case : str
    fate : str
        ``accepted`` and copied, ``rejected``, ``needs edit``, ``undecided``; ``refused`` where
        the decision is about another mask than there is.
    reason : str
        The reader's, or why it was refused.
    code : str
        Of a refusal: ``mask-changed`` or ``case-unknown``.
    files : dict
        Of an accepted case, for each format the file below the folder, and its SHA-256.
    """

    case: str
    fate: Fate
    reason: str = ""
    code: str = ""
    files: dict[str, dict[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of every case, in order of name, and of the scans without a mask."""

    reader: str
    judged: tuple[Judged, ...]
    missing: tuple[Missing, ...]

    def of(self, fate: Fate) -> list[Judged]:
        """Return the cases with this fate."""
        return [one for one in self.judged if one.fate == fate]

    @property
    def counts(self) -> dict[Fate, int]:
        """How many cases have each fate."""
        return {fate: len(self.of(fate)) for fate in get_args(Fate)}

    @property
    def exit_status(self) -> int:
        """0; 3 when every decision was refused, 6 when some were."""
        refused = len(self.of("refused"))
        decided = sum(one.fate != "undecided" for one in self.judged)
        return 0 if not refused else 3 if refused == decided else 6


def apply(
    out: str | Path, decisions: str | Path, to: str | Path, *, overwrite: bool = False
) -> Applied:
    """Copy the accepted masks of a folder of results, and list what became of the others.

    Writes ``to/<case>/mask.nii.gz`` and ``seg.dcm``, as far as the case has them, and
    ``to/worksheet.json``. The folder appears when all is in it. Each copy is hashed: one that
    is not the mask that was judged is refused, the others go on.

    Parameters
    ----------
    out : str or Path
        What :func:`medseg.segment` wrote to.
    decisions : str or Path
        The ``decisions.json`` that the worksheet saved.
    to : str or Path
        Folder to be made.
    overwrite : bool
        Replace an earlier export; a folder with anything else in it is never replaced.

    Raises
    ------
    InputRefused
        ``no-results``, ``record-damaged``, ``decisions-missing``, ``decisions-damaged``.
    OutputFailed
        ``output-exists``, ``output-foreign``, ``write-failed``.
    """
    decisions, to = Path(decisions), Path(to)
    decided = load_decisions(decisions)
    results = results_of(Path(out))
    _check_free(to, overwrite)
    make_folder(to.absolute().parent)
    with whole_folder(to.absolute()) as aside:
        judged = _judged(results, decided.decisions, aside)
        applied = Applied(decided.reader, judged, results.missing)
        write_json(aside / RECORD, _as_json(applied, sha256(decisions)))
    return applied


def _judged(results: Results, decisions: Sequence[Decision], to: Path) -> tuple[Judged, ...]:
    by_case = {one.case: one for one in decisions}
    cases = {case.name: case for case in results.cases}
    damaged = {one.case: one.why for one in results.missing if one.status == "damaged"}
    judged = []
    for name in sorted(cases.keys() | by_case.keys()):
        decision = by_case.get(name)
        if decision is None:
            judged.append(Judged(name, "undecided"))
        elif name in cases:
            judged.append(_applied(cases[name], decision, to / name))
        elif name in damaged:
            judged.append(Judged(name, "refused", damaged[name], "mask-changed"))
        else:
            judged.append(Judged(name, "refused", "There is no such case", "case-unknown"))
    return tuple(judged)


def _applied(case: Case, decision: Decision, folder: Path) -> Judged:
    changed = Judged(case.name, "refused", "The mask is not the one that was judged",
                     "mask-changed")  # fmt: skip
    if decision.mask_sha256 != case.mask_sha256:
        return changed
    if decision.verdict != "accept":
        return Judged(case.name, _FATES[decision.verdict], decision.reason)
    folder.mkdir()
    files = {}
    for form in COPIED:
        source = case.file(form)
        if source is None:
            continue
        expected = case.record.outputs[form].sha256
        with whole_file(folder / FILES[form]) as aside:
            shutil.copyfile(source, aside)
            same = sha256(aside) == expected  # of the copy: nothing can come between
        if not same:
            shutil.rmtree(folder)
            return changed
        files[form] = {"file": f"{case.name}/{FILES[form]}", "sha256": expected}
    return Judged(case.name, "accepted", decision.reason, files=files)


def _check_free(to: Path, overwrite: bool) -> None:
    """Refuse to write over anything but an earlier export, and over that unless asked to."""
    if not to.exists() or (to.is_dir() and not any(to.iterdir())):
        return
    if not overwrite:
        raise OutputFailed("output-exists", "The folder to copy to is not empty",
                           do="Give another, or use --overwrite to replace an export")  # fmt: skip
    foreign = _foreign(to)
    if foreign:
        raise OutputFailed(
            "output-foreign",
            f"The folder to copy to holds {foreign} files that no earlier export wrote there",
            do="Give another folder",
        )


def _foreign(to: Path) -> int:
    """Return how many files under a folder are not those that its record tells of."""
    if not to.is_dir():
        return 1
    try:
        record = json.loads((to / RECORD).read_text(encoding="utf-8"))
        files = [file for case in record["accepted"] for file in case["files"].values()]
        ours = {to / file["file"] for file in files if sha256(to / file["file"]) == file["sha256"]}
        ours.add(to / RECORD)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        ours = set()  # not a record of ours, or no longer true of what lies there
    return sum(path not in ours for path in to.rglob("*") if not path.is_dir())


def _as_json(applied: Applied, decisions_sha256: str) -> dict[str, Any]:
    def reasoned(fate: Fate) -> list[dict[str, str]]:
        return [{"case": one.case, "reason": one.reason} for one in applied.of(fate)]

    return {
        "format": FORMAT,
        "reader": applied.reader,
        "decisions_sha256": decisions_sha256,
        "accepted": [{"case": one.case, "files": one.files} for one in applied.of("accepted")],
        "rejected": reasoned("rejected"),
        "needs_edit": reasoned("needs edit"),
        "undecided": [one.case for one in applied.of("undecided")],
        "refused": [
            {"case": one.case, "code": one.code, "why": one.reason} for one in applied.of("refused")
        ],
        "not_segmented": [asdict(one) for one in applied.missing],
    }
