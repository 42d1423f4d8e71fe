"""Work that blocks, off the event loop."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *arguments: P.args, **parameters: P.kwargs) -> T:
    """The result of ``work``, done in a thread.

    A caller that is cancelled waits until the thread is done all the same: nothing goes on behind its back, with a file
    that it is about to close.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **parameters))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise
