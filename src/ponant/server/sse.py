"""Answers with a completion: as server-sent events or whole, and ended when the client goes away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ponant.api.chat import CompletionEvent
from ponant.completion.answer import Answer, Start
from ponant.server.dialects.base import exchange_of
from ponant.server.errors import describe

_KEEP_ALIVE = b": keep-alive\n\n"
_DONE = b"data: [DONE]\n\n"
GONE = 499
"""Status of what nobody receives any more; proxies have it in their logs."""

STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"$ref": f"#/components/schemas/{CompletionEvent.__name__}"}}}}
}
"""How routes describe their streams."""


async def answer(start: Start, request: Request, *, stream: bool, keep_alive: float) -> Response:
    """The response to a request: its completion whole, or as it comes.

    Args:
        start: begins the completion, which takes a while if its model must be loaded first.
        request: from the client, whose going away ends the completion.
        stream: whether the completion is sent as it comes.
        keep_alive: as for ``EventStream``.
    """
    if stream:
        return EventStream(start, keep_alive=keep_alive)
    try:
        async with _begun(start, request.receive) as completion:
            response = await completion.collect()
    except ClientDisconnect:
        return Response(status_code=GONE)
    return Response(response.model_dump_json(exclude_unset=True), media_type="application/json")


@asynccontextmanager
async def _begun(start: Start, receive: Receive) -> AsyncIterator[Answer]:
    """A completion that a client cancels by going away, while it begins or later.

    Raises:
        ClientDisconnect: it went away before the completion had begun.
    """
    beginning = asyncio.ensure_future(start())

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if not beginning.cancel():
            beginning.result().cancel()

    watcher = asyncio.create_task(watch())
    try:
        try:
            completion = await beginning
        except asyncio.CancelledError:
            if watcher.done():
                raise ClientDisconnect from None
            raise
        yield completion
    finally:
        for task in (watcher, beginning):
            task.cancel()
        await asyncio.gather(watcher, beginning, return_exceptions=True)


class EventStream(Response):
    """A completion as server-sent events.

    Nothing is sent before the first event or the first keep-alive, so that an early error still has a status of its
    own; a later one becomes an event, after which the stream ends without ``[DONE]``.
    """

    media_type = "text/event-stream"

    def __init__(self, start: Start, *, keep_alive: float) -> None:
        """After ``keep_alive`` seconds of silence a comment is sent, so that nothing on the way thinks it dead."""
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._start = start
        self._keep_alive = keep_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        events = _EventSender(self.raw_headers, send, self._keep_alive)
        answers = exchange_of(scope).answers
        async with events.kept_alive():
            try:
                async with _begun(self._start, receive) as completion:
                    async for chunk in completion.chunks():
                        for event in answers.events(chunk):
                            await events.send(b"data: " + event + b"\n\n")
                await events.send(_DONE)
            except ClientDisconnect:
                return
            except Exception as error:
                if not events.started:
                    raise
                status, body = describe(error)
                await events.send(b"data: " + answers.error_event(status, body.model_dump()) + b"\n\n")
            await events.end()


class _EventSender:
    def __init__(self, headers: list[tuple[bytes, bytes]], send: Send, keep_alive: float) -> None:
        self._headers = headers
        self._send = send
        self._longest_silence = keep_alive
        self._lock = asyncio.Lock()
        self._last_sent = asyncio.get_running_loop().time()
        self.started = False

    async def send(self, event: bytes, *, more: bool = True) -> None:
        async with self._lock:
            if not self.started:
                self.started = True
                await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})
            await self._send({"type": "http.response.body", "body": event, "more_body": more})
            self._last_sent = asyncio.get_running_loop().time()

    async def end(self) -> None:
        await self.send(b"", more=False)

    @asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        keeper = asyncio.create_task(self._keep_alive())
        try:
            yield
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper

    async def _keep_alive(self) -> None:
        while True:
            silent = asyncio.get_running_loop().time() - self._last_sent
            if silent >= self._longest_silence:
                await self.send(_KEEP_ALIVE)
            else:
                await asyncio.sleep(self._longest_silence - silent)
