"""Checks of the installation: each a function that looks at one thing and says what it found."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal

from medseg.networks.loading import load_keras
from medseg.silence import silence

Level = Literal["ok", "info", "warning", "error"]
Progress = Callable[[int, int], None]

TWINS = (
    ("opencv-python", "opencv-python-headless"),
    ("tensorflow", "tensorflow-cpu"),
)
"""Packages that write the same folder; which of two is used is a matter of chance."""

LITTLE_MEMORY = 4e9  # bytes; a CT of 512 x 512 x 300 and two classes take 1.5 beside libraries
LITTLE_DISK = 2e9  # bytes; the probabilities of such a CT are 0.6 before they are packed


@dataclass(frozen=True, slots=True)
class Check:
    """What was found about one thing.

    Attributes
    ----------
    name : str
        What was looked at.
    level : {"ok", "info", "warning", "error"}
        An error keeps medseg from working; a warning makes it slow or refuse some scans; an
        info is worth knowing.
    words : str
        What was found, without a full stop.
    do : str
        What to do about it, likewise.
    details : dict
        The same for programs; plain values.
    """

    name: str
    level: Level
    words: str
    do: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def examine(cache: Path, progress: Progress | None = None) -> list[Check]:
    """Return what each check finds; one that fails itself is an error and stops no other.

    Parameters
    ----------
    cache : Path
        Folder for converted models.
    progress : callable, optional
        Called with the number of checks done and of all.
    """
    checks: dict[str, Callable[[], Check]] = {
        "Python": python,
        "medseg": medseg,
        "Packages": packages,
        "Machine": machine,
        "Keras": keras,
        "GPU": gpu,
        "oneDNN": onednn,
        "Precision": precision,
        "OpenVINO": openvino,
        "Decoders": decoders,
        "Models": models,
        "Cache": lambda: cache_folder(cache),
        "Disk": lambda: disk(cache),
    }
    found: list[Check] = []
    for name, check in checks.items():
        if progress is not None:
            progress(len(found), len(checks))
        try:
            found.append(check())
        except Exception as error:  # a broken library raises what it likes: that is the finding
            words = f"{type(error).__name__}: {error}".splitlines()[0]
            found.append(Check(name, "error", words, do="Install medseg in a new environment"))
    return found


def python() -> Check:
    """Return version and platform of Python."""
    found = {"version": platform.python_version(), "system": platform.system(),
             "machine": platform.machine()}  # fmt: skip
    return Check("Python", "ok", "{version} on {system} {machine}".format(**found), details=found)


def medseg() -> Check:
    """Return the version of medseg."""
    from medseg import __version__

    return Check("medseg", "ok", __version__, details={"version": __version__})


def packages() -> Check:
    """Return whether two packages are installed that overwrite one another."""
    both = [pair for pair in TWINS if all(map(_version, pair))]
    if not both:
        return Check("Packages", "ok", "none that overwrite one another")
    named = "; ".join(" and ".join(pair) for pair in both)
    first, second = both[0]
    return Check(
        "Packages",
        "warning",
        f"both are installed and write the same files: {named}",
        do=f"pip uninstall {first} {second}, then pip install the one that you want",
        details={"both": [list(pair) for pair in both]},
    )


def machine() -> Check:
    """Return the cores this process may use and the memory that is free."""
    from medseg.inference.machine import available_memory, cores

    count, free = cores(), available_memory()
    details = {"cores": count, "free_memory_gb": free and round(free / 1e9, 1)}
    words = f"{count} CPU core{'s' * (count > 1)}, " + (
        f"{free / 1e9:.1f} GB of memory free" if free else "free memory unknown"
    )
    if free and free < LITTLE_MEMORY:
        return Check("Machine", "warning", words, details=details,
                     do="Close other programs; large scans are refused for want of memory"
                     )  # fmt: skip
    return Check("Machine", "ok", words, details=details)


def keras() -> Check:
    """Return Keras and its backend, loading both."""
    backend = load_keras().backend.backend()
    package = "tensorflow" if backend == "tensorflow" else backend
    found = {"keras": _version("keras"), "backend": backend,
             "backend_version": _version(package) or _version(f"{package}-cpu")}  # fmt: skip
    words = "{keras} on {backend} {backend_version}".format(**found)
    if backend == "tensorflow":
        return Check("Keras", "ok", words, details=found)
    return Check(
        "Keras",
        "info",
        f"{words}: models are converted for OpenVINO with TensorFlow only",
        do="Set KERAS_BACKEND=tensorflow, or predict with --engine keras",
        details=found,
    )


def gpu() -> Check:
    """Return whether Keras computes on a GPU."""
    from medseg.inference.machine import has_nvidia_driver

    with silence():
        from medseg.training.precision import has_gpu

        found = has_gpu()
    if found:
        return Check("GPU", "ok", "Keras computes on it", details={"gpu": True})
    if has_nvidia_driver():
        return Check("GPU", "warning", "an NVIDIA driver is there, but Keras sees no GPU",
                     do='pip install "medseg[gpu]"', details={"gpu": False})  # fmt: skip
    return Check("GPU", "info", "none: computing on the CPU", details={"gpu": False})


def onednn() -> Check:
    """Return whether TensorFlow computes with oneDNN on the CPU.

    It leaves oneDNN off on processors without AVX-512 VNNI or AMX, where a training step in
    3-D then takes 4.4 times as long.
    """
    if load_keras().backend.backend() != "tensorflow":
        return Check("oneDNN", "info", "of no concern to this Keras backend")
    with silence():
        # TensorFlow tells it in no public place
        port = import_module("tensorflow.python.util._pywrap_util_port")
        on = bool(port.IsMklEnabled())
    if on:
        return Check("oneDNN", "ok", "TensorFlow computes with it", details={"on": True})
    return Check(
        "oneDNN",
        "warning",
        "off: training on this CPU may take four times as long",
        do="Set TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported; the command medseg does "
        "so unless it is set to something else",
        details={"on": False},
    )


def precision() -> Check:
    """Return the Keras policy that a training takes when it may choose."""
    with silence():
        from medseg.training.precision import cpu_has_bf16, policy_name

        policy = policy_name("auto")
    native = cpu_has_bf16()
    words = f"training computes in {policy}; this CPU has {'' if native else 'no '}bfloat16"
    details = {"policy": policy, "cpu_bfloat16": native}
    return Check("Precision", "ok", words, details=details)


def openvino() -> Check:
    """Return whether OpenVINO can be loaded and sees this CPU."""
    from medseg.inference.engines.openvino_engine import quiet_openvino

    devices = quiet_openvino().Core().available_devices
    details = {"version": _version("openvino"), "devices": devices}
    words = f"{details['version']}, devices {', '.join(devices) or 'none'}"
    if "CPU" not in devices:
        return Check("OpenVINO", "warning", f"{words}: it does not know this CPU",
                     do="Predict with --engine keras", details=details)  # fmt: skip
    return Check("OpenVINO", "ok", words, details=details)


def decoders() -> Check:
    """Return which transfer syntaxes of DICOM can be decoded."""
    from medseg.reading import decoders as here

    known = here.decoders()
    details = {
        one.syntax: {"name": one.name, "plugins": list(one.plugins), "packages": one.packages,
                     "limit": one.limit} for one in known
    }  # fmt: skip
    missing = [one for one in known if not one.plugins]
    words = f"{len(known) - len(missing)} of {len(known)} transfer syntaxes"
    if not missing:
        return Check("Decoders", "ok", words, details=details)
    names = " ".join(dict.fromkeys(" ".join(one.packages for one in missing).split()))
    return Check("Decoders", "warning", f"{words}; scans in the others are refused",
                 do=f"pip install {names}", details=details)  # fmt: skip


def models() -> Check:
    """Return whether the models that come with medseg are the files that were packed."""
    from medseg.models import listed

    entries = listed()
    broken = {entry.name: entry.refusal for entry in entries if entry.refusal}
    details = {"hashes": {entry.name: entry.package.hash for entry in entries if entry.package},
               "broken": {name: str(refusal) for name, refusal in broken.items()}}  # fmt: skip
    if broken:
        words = "; ".join(f"{name}: {refusal.found}" for name, refusal in broken.items())
        return Check("Models", "error", words, details=details,
                     do="pip install --force-reinstall --no-deps medseg")  # fmt: skip
    if not entries:
        return Check("Models", "warning", "none came with this installation", details=details,
                     do="Give --model the folder of one, or train one")  # fmt: skip
    names = ", ".join(entry.name for entry in entries)
    return Check("Models", "ok", f"{names}: every checksum is right", details=details)


def cache_folder(folder: Path) -> Check:
    """Return whether the folder for converted models can be written to."""
    shown = _shown(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        return Check("Cache", "warning", f"{shown} cannot be written to: {reason}; each model is "
                     "converted anew at every start", details={"folder": shown, "writable": False},
                     do="Set MEDSEG_CACHE to a folder of yours")  # fmt: skip
    return Check("Cache", "ok", f"{shown} can be written to",
                 details={"folder": shown, "writable": True})  # fmt: skip


def disk(cache: Path) -> Check:
    """Return the space that is free for results, here, and for converted models."""
    free = {"here": _free(Path.cwd()), "cache": _free(cache)}
    details = {f"{place}_gb": round(space / 1e9, 1) for place, space in free.items()}
    words = f"{free['here'] / 1e9:.0f} GB free here, {free['cache'] / 1e9:.0f} GB in the cache"
    if min(free.values()) < LITTLE_DISK:
        return Check("Disk", "warning", words, do="Free some space", details=details)
    return Check("Disk", "ok", words, details=details)


def _free(folder: Path) -> int:
    """Return the bytes free where a folder lies or will lie."""
    existing = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return shutil.disk_usage(existing).free


def _shown(folder: Path) -> str:
    """Return a folder without the name of the user."""
    home = Path.home()
    return f"~/{folder.relative_to(home)}" if folder.is_relative_to(home) else str(folder)


def _version(package: str) -> str:
    """Return the version of an installed package, or nothing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
