"""Work that ends when the client disconnects."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from ponant.completion.answer import Answer, Start
from ponant.server.disconnection import Disconnection, disconnection_of

T = TypeVar("T")

GONE = 499
"""Status of responses whose client has disconnected; proxies use it in their logs."""


async def unless_disconnected(work: Coroutine[Any, Any, T], scope: Scope, receive: Receive, *, limit: float) -> T:
    """Return the result of a coroutine, which is cancelled when the client disconnects.

    Args:
        work: the coroutine.
        scope: the request's ASGI scope.
        receive: the request's ASGI events.
        limit: most seconds that it may take.

    Raises:
        ClientDisconnect: the client has disconnected.
        TimeoutError: it took too long.
    """
    try:
        async with _disconnection(scope, receive) as gone, asyncio.timeout(limit), _CancelledBy(gone):
            return await work
    finally:
        work.close()


@asynccontextmanager
async def started(start: Start, scope: Scope, receive: Receive) -> AsyncIterator[Answer]:
    """Start an answer, which is cancelled when the client disconnects, during the start or later.

    Args:
        start: starts the answer.
        scope: the request's ASGI scope.
        receive: the request's ASGI events.

    Raises:
        ClientDisconnect: the client has disconnected before the answer was started.
    """
    async with _disconnection(scope, receive) as disconnection:
        async with _CancelledBy(disconnection):
            answer = await start()
        disconnection.then(answer.cancel)
        try:
            yield answer
        finally:
            disconnection.then(None)
            answer.cancel()


class _CancelledBy:
    """A block that is cancelled by a disconnection, and then raises ClientDisconnect."""

    def __init__(self, disconnection: Disconnection) -> None:
        self._disconnection = disconnection
        self._has_cancelled = False

    async def __aenter__(self) -> None:
        if self._disconnection.happened:
            raise ClientDisconnect
        task = asyncio.current_task()
        assert task
        self._task = task
        self._cancelling = task.cancelling()
        self._disconnection.then(self._cancel)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._disconnection.then(None)
        if self._has_cancelled and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise ClientDisconnect from None

    def _cancel(self) -> None:
        self._has_cancelled = True
        self._task.cancel()


@asynccontextmanager
async def _disconnection(scope: Scope, receive: Receive) -> AsyncIterator[Disconnection]:
    """Provide the disconnection that the connection reports, or else one that is watched for in the block."""
    if reported := disconnection_of(scope):
        yield reported
        return
    disconnection = Disconnection()
    watcher = asyncio.create_task(_watch(receive, disconnection))
    try:
        yield disconnection
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)


async def _watch(receive: Receive, disconnection: Disconnection) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    disconnection.report()
