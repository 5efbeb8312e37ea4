"""Computing with Keras: on a GPU, or wherever OpenVINO is not wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from medseg.errors import EngineFailed
from medseg.findings import Finding
from medseg.inference.engines.base import Device, Precision
from medseg.models import ModelPackage
from medseg.models.weights import Policy, network_of

POLICIES: dict[Precision, Policy] = {"f32": "float32", "bf16": "mixed_bfloat16"}


class KerasEngine:
    """A Keras model as an engine.

    Parameters
    ----------
    model : keras.Model
        Of one output or, with deep supervision, of several, finest first.
    precision : {"f32", "bf16"}
        What the model was built with; recorded, not changed.
    device : {"cpu", "gpu"}
        Where to compute.
    """

    name = "keras"

    def __init__(
        self, model: keras.Model, *, precision: Precision = "f32", device: Device = "cpu"
    ) -> None:
        self.precision: str = precision
        self.device: str = device
        backend = keras.backend.backend()
        self.versions = {"keras": keras.__version__, backend: _version(backend)}
        self._compute = _compiled(model)

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        """Return logits ``(B, *spatial, classes)`` of tiles ``(B, *spatial, C)``, float32."""
        with keras.device(f"{self.device}:0"):
            return np.asarray(self._compute(tiles), np.float32)


def load(
    package: ModelPackage,
    *,
    device: Device = "auto",
    precision: Precision = "f32",
    cache: Path | None = None,
) -> tuple[KerasEngine, tuple[Finding, ...]]:
    """Build a package's network on a device; ``cache`` is not needed here.

    Raises
    ------
    EngineFailed
        ``gpu-missing``.
    """
    gpus = keras.distribution.list_devices("gpu") if device != "cpu" else []
    if device == "gpu" and not gpus:
        raise EngineFailed("gpu-missing", "Keras sees no GPU",
                           do='Install "medseg[gpu]" and a driver, or compute on the CPU'
                           )  # fmt: skip
    place: Device = "gpu" if gpus else "cpu"
    with keras.device(f"{place}:0"):
        model = network_of(package, policy=POLICIES[precision])
    return KerasEngine(model, precision=precision, device=place), ()


def _compiled(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Return the model as one compiled call; calling a Keras model eagerly costs a fifth more."""
    finest = keras.Model(model.inputs, model.outputs[0])
    if keras.backend.backend() != "tensorflow":
        return lambda tiles: np.asarray(finest.predict_on_batch(tiles))
    import tensorflow as tf

    signature = tf.TensorSpec((None, *finest.input_shape[1:]), tf.float32)
    compute = tf.function(lambda tiles: finest(tiles, training=False), input_signature=[signature])
    return lambda tiles: np.asarray(compute(tiles))


def _version(distribution: str) -> str:
    from importlib import import_module

    return str(import_module(distribution).__version__)
