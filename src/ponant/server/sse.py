"""Answers with a completion: as server-sent events or whole, and ended when the client goes away."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ponant.api.chat import CompletionEvent
from ponant.completion.completion import Completion
from ponant.server.errors import error_event

_KEEP_ALIVE = b": keep-alive\n\n"
_DONE = b"data: [DONE]\n\n"

STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"$ref": f"#/components/schemas/{CompletionEvent.__name__}"}}}}
}
"""How routes describe their streams."""


async def answer(completion: Completion, request: Request, *, stream: bool, keep_alive: float) -> Response:
    """The response to a request: its completion whole, or as it comes."""
    if stream:
        return EventStream(completion, keep_alive=keep_alive)
    async with cancelled_on_disconnect(completion, request.receive):
        response = await completion.collect()
    return Response(response.model_dump_json(exclude_unset=True), media_type="application/json")


class Cancellable(Protocol):
    """What may be ended at any time."""

    def cancel(self) -> object:
        """End it."""
        ...


@asynccontextmanager
async def cancelled_on_disconnect(work: Cancellable, receive: Receive) -> AsyncIterator[None]:
    """While the block runs, a client that goes away cancels the work for it."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        work.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


class EventStream(Response):
    """A completion as server-sent events.

    Nothing is sent before the first event or the first keep-alive, so that an early error still has a status of its
    own; a later one becomes an event, after which the stream ends without ``[DONE]``.
    """

    media_type = "text/event-stream"

    def __init__(self, completion: Completion, *, keep_alive: float) -> None:
        """After ``keep_alive`` seconds of silence a comment is sent, so that nothing on the way thinks it dead."""
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._completion = completion
        self._keep_alive = keep_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        events = _EventSender(self.raw_headers, send, self._keep_alive)
        async with cancelled_on_disconnect(self._completion, receive), events.kept_alive():
            try:
                async for chunk in self._completion.chunks():
                    await events.send(b"data: " + chunk.model_dump_json(exclude_unset=True).encode() + b"\n\n")
                await events.send(_DONE)
            except Exception as error:
                if not events.started:
                    raise
                await events.send(b"data: " + json.dumps(error_event(error)).encode() + b"\n\n")
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
