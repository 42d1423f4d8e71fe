"""Limits of a process on its own time and memory, for work on foreign data."""

import resource
import signal
from pathlib import Path

_STATISTICS = Path("/proc/self/statm")


def limit_time(seconds: float) -> None:
    """Kill this process (by SIGPROF) after so much more processor time, in seconds; 0 for no limit."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def limit_memory(more: int | None) -> None:
    """Let allocations of this process fail beyond its present size and ``more`` bytes; None for no limit.

    Systems without ``/proc`` have no limit.
    """
    if not _STATISTICS.exists():
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = most
    if more is not None:
        limit = more + int(_STATISTICS.read_text().split()[0]) * resource.getpagesize()
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
