"""Keras without the greetings of its backend, and under another dtype policy for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from medseg.silence import silence


def load_keras() -> Any:
    """Import Keras and its backend, which writes pages about processors as it is loaded.

    Called before the first import of Keras; later calls cost nothing. TensorFlow trains four
    times slower on processors without AVX-512 unless it is told to use oneDNN before its import.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with silence():
        return import_module("keras")


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Use a Keras dtype policy inside the block, and the one before it afterwards."""
    keras = load_keras()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
