"""Work that blocks, off the event loop."""

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


os.register_at_fork(after_in_child=_pool.cache_clear)  # the threads stay with the parent


async def in_thread(work: Callable[P, T], *arguments: P.args, **parameters: P.kwargs) -> T:
    """The result of ``work``, done in a thread.

    The threads are for storage alone: where it has to be waited for, such as for another program that has locked the
    database, nothing else waits. A caller that is cancelled waits until the thread is done all the same: nothing goes
    on behind its back, with a file that it is about to close.
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
