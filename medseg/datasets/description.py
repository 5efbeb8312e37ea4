"""Reading ``dataset.json``, whose two dialects share a name, and what lies beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medseg.errors import InputRefused

LARGEST_BYTES = 64 << 20  # a data set of a million cases stays below this


def read_description(folder: Path) -> dict[str, Any] | None:
    """Return the content of ``dataset.json``, or None where there is none.

    Raises
    ------
    InputRefused
        ``dataset-invalid``: it is no JSON object, or larger than 64 MiB.
    """
    content = read_json(folder / "dataset.json")
    if content is None or isinstance(content, dict):
        return content
    raise InputRefused("dataset-invalid", "dataset.json cannot be read: not an object")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, or None where there is none.

    Raises
    ------
    InputRefused
        ``dataset-invalid``: it is no JSON, or larger than 64 MiB.
    """
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ValueError("larger than 64 MiB")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or error  # the system's words hold the path
        raise InputRefused("dataset-invalid", f"{path.name} cannot be read: {why}") from error
