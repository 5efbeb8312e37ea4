"""Reading ``dataset.json``, whose two dialects share a name."""

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
    path = folder / "dataset.json"
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ValueError("larger than 64 MiB")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise InputRefused("dataset-invalid", f"dataset.json cannot be read: {error}") from error
    return content
