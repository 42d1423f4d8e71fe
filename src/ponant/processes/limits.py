"""Limits of a process on its own time and memory, for work on foreign data."""

import resource
import signal
from pathlib import Path

_STATISTICS = Path("/proc/self/statm")
_INHERITED, _ = resource.getrlimit(resource.RLIMIT_AS)
"""Limit of the memory when the process started, which is never exceeded."""


def limit_time(seconds: float) -> None:
    """Kill this process (by SIGPROF) after so much more processor time, in seconds; 0 for no limit."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def limit_memory(more: int | None) -> None:
    """Let allocations of this process fail beyond its present size and ``more`` bytes; None for no limit.

    Systems without ``/proc`` have no limit.
    """
    if not _STATISTICS.exists():
        return
    limit = _INHERITED
    if more is not None:
        limit = more + int(_STATISTICS.read_text().split()[0]) * resource.getpagesize()
        limit = limit if _INHERITED == resource.RLIM_INFINITY else min(limit, _INHERITED)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
