"""The number formats a training computes in, by what the machine does well."""

from __future__ import annotations

from pathlib import Path

from medseg.training.devices import gpus

POLICIES = {"f32": "float32", "bf16": "mixed_bfloat16", "f16": "mixed_float16"}
CPU_FLAGS = ("avx512_bf16", "amx_bf16")  # without one of them bf16 is emulated, and slow


def policy_name(precision: str) -> str:
    """Return the Keras policy of ``auto``, ``f32``, ``bf16`` or ``f16``.

    ``auto`` is f16 on a GPU, bf16 on a CPU that computes in it (a training step then takes
    two thirds of the time), else f32.
    """
    if precision != "auto":
        return POLICIES[precision]
    if has_gpu():
        return POLICIES["f16"]
    return POLICIES["bf16" if cpu_has_bf16() else "f32"]


def has_gpu() -> bool:
    """Whether Keras' backend sees a GPU; loads the backend."""
    return bool(gpus())


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 natively, as far as Linux tells."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in CPU_FLAGS)
