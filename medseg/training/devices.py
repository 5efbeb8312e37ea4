"""What a training computes on: one device or several, repeatable or not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

from medseg.errors import PlanRefused


def shared_among(devices: Sequence[str]) -> AbstractContextManager[Any]:
    """Return the scope in which a model is built and compiled to use several devices at once.

    Each takes an equal part of every batch and they add their gradients up
    (``tf.distribute.MirroredStrategy``). With one device or none the scope does nothing.

    Parameters
    ----------
    devices : sequence of str
        As Keras lists them: ``"gpu:0"``. On other backends than TensorFlow the first is used.
    """
    import keras

    if len(devices) < 2 or keras.backend.backend() != "tensorflow":
        return nullcontext()
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy([name.replace("gpu", "GPU") for name in devices])
    scope: AbstractContextManager[Any] = strategy.scope()
    return scope


def gpus() -> list[str]:
    """Return the GPUs that Keras' backend sees; loads the backend."""
    import keras

    try:
        return list(keras.distribution.list_devices("gpu"))
    except (RuntimeError, ValueError):  # some backends raise where there is none
        return []


def check_batch(batch: int, devices: int) -> None:
    """Refuse a batch that cannot be shared evenly: ``batch-uneven``."""
    if devices > 1 and batch % devices:
        raise PlanRefused(
            "batch-uneven", f"A batch of {batch} cannot be shared among {devices} GPUs evenly",
            do=f"Set batch to a multiple of {devices}, or devices: one",
        )  # fmt: skip


def make_repeatable() -> None:
    """Ask the backend for operations that give the same bits again, for the whole process."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif keras.backend.backend() == "torch":
        torch: Any = import_module("torch")
        torch.use_deterministic_algorithms(True)
