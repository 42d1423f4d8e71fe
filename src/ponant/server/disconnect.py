"""Work that ends when the client disconnects."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from ponant.completion.answer import Answer, Start

T = TypeVar("T")

GONE = 499
"""Status of responses whose client has disconnected; proxies use it in their logs."""


async def unless_disconnected(work: Coroutine[Any, Any, T], receive: Receive, *, limit: float) -> T:
    """Return the result of a coroutine, which is cancelled when the client disconnects.

    Args:
        work: the coroutine.
        receive: the request's ASGI events.
        limit: most seconds that it may take.

    Raises:
        ClientDisconnect: the client has disconnected.
        TimeoutError: it took too long.
    """
    working, watching = asyncio.create_task(work), asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({working, watching}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if watching.done():
            raise ClientDisconnect
        raise TimeoutError
    finally:
        await _end(working, watching)


@asynccontextmanager
async def started(start: Start, receive: Receive) -> AsyncIterator[Answer]:
    """Start an answer, which is cancelled when the client disconnects, during the start or later.

    Args:
        start: starts the answer.
        receive: the request's ASGI events.

    Raises:
        ClientDisconnect: the client has disconnected before the answer was started.
    """
    starting = asyncio.ensure_future(start())

    async def watch() -> None:
        await _disconnected(receive)
        if not starting.cancel():
            starting.result().cancel()

    watcher = asyncio.create_task(watch())
    try:
        try:
            answer = await starting
        except asyncio.CancelledError:
            if watcher.done():
                raise ClientDisconnect from None
            raise
        yield answer
    finally:
        await _end(watcher, starting)
        if not starting.cancelled() and not starting.exception():
            starting.result().cancel()


async def _disconnected(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
