"""Memory and processor cores of this machine."""

import os
from pathlib import Path

import psutil

SPARE_MEMORY = 256 * 2**20
"""Memory reserved for compute buffers and other programs, in bytes."""


def available_memory() -> int:
    """Return the available memory in bytes, within the limit of the control group."""
    available = psutil.virtual_memory().available
    limit, used = _read_bytes("memory.max"), _read_bytes("memory.current")
    return available if limit is None or used is None else min(available, limit - used)


def total_memory() -> int:
    """Return the memory of the machine in bytes, or the limit of the control group if that is lower."""
    total = psutil.virtual_memory().total
    return min(total, _read_bytes("memory.max") or total)


def default_threads() -> int:
    """Return the number of physical cores that this process may use."""
    cores = psutil.cpu_count(logical=False) or 1
    return min(cores, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else cores


def _read_bytes(name: str) -> int | None:
    try:
        return int(Path("/sys/fs/cgroup", name).read_text())
    except (OSError, ValueError):
        return None
