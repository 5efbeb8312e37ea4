"""Computing with OpenVINO on a CPU; from the second run on without TensorFlow and Keras."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from medseg.errors import EngineFailed, OutputFailed
from medseg.files import make_folder, sha256, whole_folder, write_json
from medseg.findings import Finding
from medseg.inference.engines.base import Device, Precision
from medseg.inference.machine import cores
from medseg.models import ModelPackage
from medseg.networks.loading import load_keras

GRAPH = ("graph.xml", "graph.bin")
SUMS = "sha256.json"


class OpenVINOEngine:
    """A compiled OpenVINO graph as an engine; takes tiles one by one, more at once gain nothing."""

    name = "openvino"
    device = "cpu"

    def __init__(self, compiled: Any, *, precision: Precision, version: str) -> None:
        self.precision: str = precision
        self.versions = {"openvino": version}
        self.compiled = compiled

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        """Return logits ``(B, *spatial, classes)`` of tiles ``(B, *spatial, C)``, float32."""
        return np.concatenate([self.compiled([tile[np.newaxis]])[0] for tile in tiles])


def load(
    package: ModelPackage,
    *,
    device: Device = "auto",
    precision: Precision = "f32",
    cache: Path | None = None,
) -> tuple[OpenVINOEngine, tuple[Finding, ...]]:
    """Compile a package's graph, from the cache where it was converted before.

    What is odd but not in the way is a finding: ``cache-unwritable``, ``cache-rebuilt``,
    ``precision-unavailable``.

    Raises
    ------
    EngineFailed
        ``conversion-failed``: OpenVINO or the Keras backend cannot convert the network.
    """
    openvino = quiet_openvino()
    core = openvino.Core()
    graph, findings = _graph(openvino, core, package, cache or Path.home() / ".cache" / "medseg")
    settings = {
        "INFERENCE_PRECISION_HINT": precision,  # its default is bf16 on some processors
        "INFERENCE_NUM_THREADS": cores(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = core.compile_model(graph, "CPU", settings)
    used: Precision = "bf16" if _precision(compiled) == "bf16" else "f32"
    if used != precision:
        words = f"This processor does not compute in {precision}: {used} is used"
        findings = (*findings, Finding("info", "precision-unavailable", words))
    return OpenVINOEngine(compiled, precision=used, version=_version(openvino)), findings


def quiet_openvino() -> Any:
    """Import OpenVINO without its telemetry and return it.

    ``import openvino`` alone reports to a server and leaves files in the home folder, unless
    the module ``openvino_telemetry`` is missing: then OpenVINO takes a stub of its own that
    does nothing. An import of a name that stands for None fails, so this makes it missing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_module("openvino")


def _precision(compiled: Any) -> str:
    return str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())


def _version(openvino: Any) -> str:
    return "-".join(openvino.__version__.split("-")[:2])  # 2026.4.1-22982, without the branch


def _graph(
    openvino: Any, core: Any, package: ModelPackage, cache: Path
) -> tuple[Any, tuple[Finding, ...]]:
    patch = "x".join(map(str, package.plan.patch))
    folder = cache / "graphs" / f"{package.hash}-{_version(openvino)}-{patch}"
    graph = _cached(core, folder)
    if graph is not None:
        return graph, ()
    findings: tuple[Finding, ...] = ()
    if folder.exists():
        findings = (Finding("info", "cache-rebuilt", "A damaged graph in the cache was replaced"),)
    graph = _converted(openvino, package)
    try:
        make_folder(folder.parent)
        with whole_folder(folder) as aside:
            _save(openvino, graph, aside)
    except OutputFailed as failure:
        if _cached(core, folder) is None:  # else another run was there first
            words = f"The converted graph is not kept, each start takes longer: {failure.found}"
            findings = (*findings, Finding("info", "cache-unwritable", words))
    return graph, findings


def _cached(core: Any, folder: Path) -> Any | None:
    """Return the graph in a cache folder, or None unless it is there and unharmed."""
    try:
        sums = json.loads((folder / SUMS).read_text())
        if sums != {name: sha256(folder / name) for name in GRAPH}:
            return None
    except (OSError, ValueError):
        return None
    return core.read_model(folder / GRAPH[0])


def _save(openvino: Any, graph: Any, folder: Path) -> None:
    xml, weights = (folder / name for name in GRAPH)
    try:
        openvino.save_model(graph, xml, compress_to_fp16=False)
    except RuntimeError as error:  # OpenVINO's own, for a full disk too
        raise OSError(f"OpenVINO could not save: {type(error).__name__}") from error
    write_json(folder / SUMS, {file.name: sha256(file) for file in (xml, weights)})


def _converted(openvino: Any, package: ModelPackage) -> Any:
    """Return a package's network as an OpenVINO graph of one static tile.

    By way of a SavedModel: of the five ways from Keras, the one that keeps a static shape and
    the order of outputs and leaves no transposes around deconvolutions.
    """
    keras = load_keras()
    import tensorflow as tf

    from medseg.models.weights import network_of

    if keras.backend.backend() != "tensorflow":
        raise EngineFailed(
            "conversion-failed",
            f"OpenVINO graphs are made with the TensorFlow backend, Keras runs on "
            f"{keras.backend.backend()}",
            do="Use the Keras engine, or set KERAS_BACKEND=tensorflow",
        )
    with tf.device("/CPU:0"):
        model = network_of(package)
    patch = package.plan.patch
    spatial = patch[1:] if patch[0] == 1 else patch
    tile = tf.TensorSpec((1, *spatial, len(package.plan.channels)), tf.float32)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("logits", lambda tiles: model(tiles, training=False), [tile])
    with TemporaryDirectory(prefix="medseg-") as folder:
        archive.write_out(folder, verbose=False)
        try:
            return openvino.convert_model(folder)
        except Exception as error:  # OpenVINO raises types of its own and RuntimeError
            raise EngineFailed(
                "conversion-failed",
                f"OpenVINO could not convert the network: {type(error).__name__}",
                do="Use the Keras engine",
            ) from error
