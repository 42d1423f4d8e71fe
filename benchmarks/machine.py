"""Says in a few words what a benchmark ran on, without naming the machine."""

import os
import platform
from pathlib import Path


def describe_machine() -> str:
    """Return the processor's model, the cores this program may use, the memory, and the Python version."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor_model()}, {cores} cores, {memory:.0f} GiB of memory, Python {platform.python_version()}"


def processor_model() -> str:
    """Return the processor's name as the kernel gives it, or its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
