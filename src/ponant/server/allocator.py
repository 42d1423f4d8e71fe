"""The memory allocator of the C library."""

import ctypes
import os

_LARGE = 256 * 2**10
"""Bytes of an allocation from which the system gets it back as soon as it is freed."""
_ARENAS = 2
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
"""Parameters of ``mallopt``, see mallopt(3)."""


def return_freed_memory() -> None:
    """Let glibc return more of the memory that is freed. Other C libraries are left as they are.

    By default each thread gets an arena, which keeps what the thread's largest request took, and large allocations
    are made in arenas too once one was freed. Must be called before threads are started. Variables of the environment
    such as ``MALLOC_ARENA_MAX`` take precedence.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    if "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, _ARENAS)
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
