"""The table of engines, and choosing one."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import get_args

from medseg.errors import EngineFailed, PlanRefused
from medseg.findings import Finding
from medseg.inference.engines.base import Device, Engine, EngineName, Precision
from medseg.inference.machine import has_nvidia_driver
from medseg.models import ModelPackage
from medseg.networks.loading import load_keras

ENGINES = {
    "keras": "medseg.inference.engines.keras_engine:load",
    "openvino": "medseg.inference.engines.openvino_engine:load",
}

__all__ = ["ENGINES", "Device", "Engine", "EngineName", "Precision", "choose"]

Chosen = tuple[Engine, tuple[Finding, ...]]


def choose(
    package: ModelPackage,
    *,
    engine: EngineName = "auto",
    device: Device = "auto",
    precision: Precision = "f32",
    cache: Path | None = None,
) -> Chosen:
    """Load a package into an engine; return it with what was odd about that.

    Parameters
    ----------
    package : ModelPackage
        The network and its weights.
    engine : {"auto", "keras", "openvino"}
        ``"auto"`` takes Keras for a GPU and OpenVINO, twice as fast there, for a CPU.
    device : {"auto", "cpu", "gpu"}
        ``"auto"`` takes a GPU where Keras finds one; without an NVIDIA driver it is not even
        asked, since that alone takes seconds.
    precision : {"f32", "bf16"}
        bf16 is twice as fast on processors that have it, and moves borders a little.
    cache : Path, optional
        Folder for converted graphs; ``~/.cache/medseg`` when left out.

    Raises
    ------
    PlanRefused
        ``engine-unknown``, ``device-unknown``, ``precision-unknown``, ``engine-device``.
    EngineFailed
        ``gpu-missing``: a GPU was asked for and there is none.
    """
    for what, name, names in (
        ("engine", engine, get_args(EngineName)),
        ("device", device, get_args(Device)),
        ("precision", precision, get_args(Precision)),
    ):
        if name not in names:
            raise PlanRefused(
                f"{what}-unknown", f"There is no {what} {name!r}", do=f"Use one of {list(names)}"
            )
    if engine == "openvino" and device == "gpu":
        raise PlanRefused("engine-device", "The OpenVINO engine computes on the CPU only",
                          do="Use the Keras engine for a GPU")  # fmt: skip
    if engine != "auto":
        return _load(engine, package, device, precision, cache)
    if device == "gpu" or (device == "auto" and has_nvidia_driver()):
        try:
            return _load("keras", package, "gpu", precision, cache)
        except EngineFailed as failure:
            if failure.code != "gpu-missing" or device == "gpu":
                raise
        unused = Finding("info", "gpu-unused", "There is an NVIDIA driver, but Keras sees no GPU: "
                         "computing on the CPU")  # fmt: skip
        loaded, findings = _load("openvino", package, "cpu", precision, cache)
        return loaded, (unused, *findings)
    return _load("openvino", package, "cpu", precision, cache)


def _load(
    name: str, package: ModelPackage, device: str, precision: str, cache: Path | None
) -> Chosen:
    module, function = ENGINES[name].split(":")
    if name == "keras":
        load_keras()
    load = getattr(import_module(module), function)
    chosen: Chosen = load(package, device=device, precision=precision, cache=cache)
    return chosen
