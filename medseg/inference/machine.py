"""What the computer offers: cores, memory, a graphics card; asked without heavy imports."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """Return the cores this process may use: its affinity, cut to a container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _first_line(CGROUP / "cpu.max").split()  # "200000 100000": microseconds a period
    if len(quota) == 2 and quota[0].isdigit():
        allowed = min(allowed or 1, math.ceil(int(quota[0]) / int(quota[1])))
    return max(1, allowed or 1)


def available_memory() -> int | None:
    """Return the bytes that can be taken without swapping, or None where Linux does not say."""
    free = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    limit, used = _first_line(CGROUP / "memory.max"), _first_line(CGROUP / "memory.current")
    if limit.isdigit() and used.isdigit():
        free.append(max(0, int(limit) - int(used)))
    return min(free, default=None)


def has_nvidia_driver() -> bool:
    """Return whether an NVIDIA driver is there; whether a framework can use it is not asked."""
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def _first_line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
