"""The arrays of a package: float16 when written, their shapes checked against the record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import NonNegativeInt, ValidationError

from medseg.errors import ModelRefused
from medseg.models.container import WEIGHTS, open_file
from medseg.models.record import Shapes, first_fault, parsed
from medseg.plan import Frozen

HEADER_LIMIT = 8 << 20  # bytes of names and shapes in the weights file
ITEM_BYTES = {"F16": 2, "F32": 4}


class _Array(Frozen):
    """One entry of a safetensors header."""

    dtype: Literal["F16", "F32"]
    shape: tuple[NonNegativeInt, ...]
    data_offsets: tuple[NonNegativeInt, NonNegativeInt]


def checked_shapes(path: Path, file: str, sizes: Mapping[str, int], wanted: Shapes) -> Shapes:
    """Return the shapes in a weights file, having compared them with those of the record."""
    with open_file(path, file) as stream:
        stored = _stored_shapes(stream, sizes[file])
    if stored != wanted:
        raise ModelRefused("weights-differ", difference(stored, wanted),
                           do="Get the package again from its maker")  # fmt: skip
    return stored


def _stored_shapes(stream: BufferedIOBase, size: int) -> Shapes:
    """Return the shape of each array in a safetensors file, having checked that they fill it.

    The format: eight bytes with the length of a JSON header, the header, the data
    (github.com/huggingface/safetensors, Format).
    """
    length = int.from_bytes(stream.read(8), "little")
    if size < 8 or length > min(HEADER_LIMIT, size - 8):
        raise _weights_invalid("its header is longer than the file")
    entries = parsed(stream.read(length), WEIGHTS)
    entries.pop("__metadata__", None)
    try:
        arrays = {name: _Array.model_validate(entry) for name, entry in entries.items()}
    except ValidationError as error:
        raise _weights_invalid(first_fault(error)) from error
    end = 0
    for name, array in sorted(arrays.items(), key=lambda item: item[1].data_offsets):
        declared = math.prod(array.shape) * ITEM_BYTES[array.dtype]
        if array.data_offsets != (end, end + declared):
            raise _weights_invalid(f"{name} does not lie where its shape {array.shape} says")
        end += declared
    if end != size - 8 - length:
        raise _weights_invalid("it is longer or shorter than its arrays")
    return {name: array.shape for name, array in arrays.items()}


def _weights_invalid(why: str) -> ModelRefused:
    return ModelRefused("weights-invalid", f"{WEIGHTS} cannot be read: {why}",
                        do="Get the package again from its maker")  # fmt: skip


def difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Say in one sentence how the arrays of two weight lists differ."""
    for words, names in (
        ("The weights lack", wanted.keys() - found.keys()),
        ("The weights hold an unknown array,", found.keys() - wanted.keys()),
    ):
        if names:
            return f"{words} {min(names)} ({len(names)} in all)"
    name = next(name for name in wanted if found[name] != wanted[name])
    return f"{name} has shape {tuple(found[name])} in place of {tuple(wanted[name])}"


def as_halves(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays as float16; ``weights-not-finite`` where one does not fit."""
    with np.errstate(over="ignore"):  # what does not fit becomes inf and is refused
        halves = {path: np.ascontiguousarray(a, dtype=np.float16) for path, a in weights.items()}
    check_finite(halves)
    return halves


def check_finite(weights: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays with NaN or infinity: ``weights-not-finite``."""
    for path, array in weights.items():
        if not np.isfinite(array).all():
            raise ModelRefused(
                "weights-not-finite",
                f"The weights hold a value that is not a finite {array.dtype} number, in {path}",
                do="Training diverged: take an earlier state or a smaller learning rate",
            )
