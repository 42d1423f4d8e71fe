"""Threads for blocking work of the storage."""

import asyncio
import contextlib
import contextvars
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_MAX_THREADS = 8


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MAX_THREADS, "storage")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child process has no threads of its parent


async def in_thread(work: Callable[P, T], *arguments: P.args, **parameters: P.kwargs) -> T:
    """Run ``work`` in a thread, and return its result.

    The thread pool is separate, so that a locked database cannot block other requests. A cancelled caller still waits
    for the end of the work, as the work may use a file that the caller closes next.
    """
    in_context = functools.partial(contextvars.copy_context().run, work, *arguments, **parameters)
    task = asyncio.get_running_loop().run_in_executor(_pool(), in_context)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise
