"""The records of a run on disk: ``case.json`` in each case's folder, ``run.json`` over all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medseg.batch.outcome import Outcome, Run
from medseg.exporting import FILES
from medseg.files import sha256, write_json
from medseg.findings import Finding

CASE_RECORD, RUN_RECORD, FINDINGS_RECORD = "case.json", "run.json", "findings.json"
FORMAT = 1


def fingerprint(files: Sequence[Path]) -> dict[str, Any]:
    """Return the number of files and one SHA-256 over the sorted hashes of their contents.

    Names do not count, so a renamed or moved study is known again, and no path is kept.
    """
    hashes = sorted(sha256(path) for path in files)
    return {"files": len(hashes), "sha256": hashlib.sha256("".join(hashes).encode()).hexdigest()}


def written(paths: dict[str, Path]) -> dict[str, dict[str, str]]:
    """Return name and SHA-256 of each file by its format."""
    return {name: {"file": path.name, "sha256": sha256(path)} for name, path in paths.items()}


def write_case(folder: Path, outcome: Outcome, asked: dict[str, Any]) -> None:
    """Write the record of a case, last of its files: where it is, the case is whole."""
    write_json(folder / CASE_RECORD, {"format": FORMAT, "asked": asked, **outcome.as_json()})


def whole_case(folder: Path, source: dict[str, Any], asked: dict[str, Any]) -> Outcome | None:
    """Return the outcome of an earlier run, if this very case lies there whole.

    Input, model, plan and options must be the same, and every file must have the hash that
    the record says.
    """
    try:
        record = json.loads((folder / CASE_RECORD).read_text(encoding="utf-8"))
        if record["asked"] != asked or record["input"] != source:
            return None
        for name, output in record["outputs"].items():
            if output["file"] != FILES[name] or sha256(folder / FILES[name]) != output["sha256"]:
                return None
        return Outcome(
            case=record["case"],
            status="resumed",
            modality=record["modality"],
            shape=tuple(record["shape"]),
            spacing_mm=tuple(record["spacing_mm"]),
            input=source,
            volumes_ml=record["volumes_ml"],
            outputs=record["outputs"],
            seconds=record["seconds"],
            findings=tuple(Finding(**finding) for finding in record["findings"]),
            provenance=record["provenance"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent, damaged or of another format: it is simply done again


def write_run(out: Path, run: Run, asked: dict[str, Any], record: str = RUN_RECORD) -> None:
    """Write what was asked, what became of each case, and what was passed over."""
    write_json(
        out / record,
        {
            "format": FORMAT,
            "complete": run.complete,
            "exit_status": run.exit_status,
            "seconds": round(run.seconds, 3),
            "asked": asked,
            "cases": [outcome.as_json() for outcome in run.outcomes],
            "skipped_files": run.skipped,
        },
    )
