"""Work that nobody waits for any more is not done."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


async def unless_disconnected(work: Coroutine[Any, Any, T], receive: Receive, *, limit: float) -> T:
    """The result of some work, which is cancelled when the client goes away.

    Args:
        work: what is done.
        receive: tells of the client.
        limit: seconds that it may take.

    Raises:
        ClientDisconnect: the client went away.
        TimeoutError: it took too long.
    """

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.create_task(work), asyncio.create_task(watch())
    try:
        await asyncio.wait({working, watching}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if watching.done():
            raise ClientDisconnect
        raise TimeoutError
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)
