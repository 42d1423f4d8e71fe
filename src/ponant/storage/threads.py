"""Threads for blocking work of the storage."""

import asyncio
import contextlib
import contextvars
import functools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LOCK_SECONDS = 30.0
"""Longest wait for a locked database."""

_MAX_THREADS = 8
_MAX_WRITERS = 4
"""Threads that can wait for a locked database. Transactions that write run one after the other anyway."""

_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("deadline", default=None)
"""Time (monotonic) at which the work of this thread stops waiting for a lock."""


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MAX_THREADS, "storage")


@functools.cache
def _writers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MAX_WRITERS, "storage-writer")


# A child process has no threads of its parent.
os.register_at_fork(after_in_child=_pool.cache_clear)
os.register_at_fork(after_in_child=_writers.cache_clear)


async def in_thread(work: Callable[P, T], *arguments: P.args, **parameters: P.kwargs) -> T:
    """Run ``work``, which does not wait for locks of the database, in a thread, and return its result.

    The thread pool is separate, so that slow storage cannot block other requests. A cancelled caller still waits for
    the end of the work, as the work may use a file that the caller closes next.
    """
    return await _run(_pool(), functools.partial(work, *arguments, **parameters))


async def in_writing_thread(work: Callable[P, T], *arguments: P.args, **parameters: P.kwargs) -> T:
    """Run ``work``, which may wait for a lock of the database, as ``in_thread`` does.

    Its threads are others than those of ``in_thread``, so that a locked database cannot block reads. It waits for locks
    for ``LOCK_SECONDS`` from now, including the time until it gets a thread.
    """
    token = _deadline.set(time.monotonic() + LOCK_SECONDS)
    try:
        return await _run(_writers(), functools.partial(work, *arguments, **parameters))
    finally:
        _deadline.reset(token)


def seconds_for_locks() -> float:
    """Return the time in seconds that the work of this thread may still wait for locks."""
    deadline = _deadline.get()
    return LOCK_SECONDS if deadline is None else max(0.0, deadline - time.monotonic())


async def _run(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    task = asyncio.get_running_loop().run_in_executor(pool, contextvars.copy_context().run, work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise
