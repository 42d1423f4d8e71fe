"""Streamed answers: server-sent events, unless the dialect frames its events otherwise."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ponant.completion.answer import Start
from ponant.completion.calls import CallStyle
from ponant.completion.turns import turn
from ponant.server.dialects.base import Answers, exchange_of
from ponant.server.disconnect import started
from ponant.server.errors import describe
from ponant.server.request_record import record_of
from ponant.server.serialization import serialised

_SEPARATORS = tuple((character.encode(), f"\\u{ord(character):04x}".encode()) for character in "\x85\u2028\u2029")
"""Characters that are legal in JSON, and that clients take for ends of lines, as ``str.splitlines`` does."""


class StreamedAnswer(Response):
    """An answer as server-sent events.

    Nothing is sent before the first event or the first keep-alive, so that an early error has an HTTP status of its
    own. A later error becomes an event, and the stream ends without ``[DONE]``.
    """

    def __init__(self, start: Start, *, keep_alive: float, calls: CallStyle = "whole") -> None:
        """Stream an answer.

        Args:
            start: starts the answer.
            keep_alive: seconds without events after which a comment is sent, so that proxies keep the connection open.
            calls: form of calls, unless the request's dialect has one of its own.
        """
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._start = start
        self._keep_alive = keep_alive
        self._calls: CallStyle = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        exchange, record = exchange_of(scope), record_of(scope)
        answers = exchange.answers
        self.headers["content-type"] = answers.media_type
        events = _EventSender(self.raw_headers, send, self._keep_alive, comment=answers.keep_alive)
        current = turn()
        async with events.kept_alive():
            try:
                async with started(self._start, receive) as answer:
                    with record.counting(answer):
                        calls = exchange.dialect.calls or self._calls
                        async for chunk in answer.chunks(calls, running_usage=answers.running_usage):
                            await current.share()
                            for event in await serialised(chunk.choices, functools.partial(answers.events, chunk)):
                                await events.send(_framed(answers, event))
                for event in answers.ending():
                    await events.send(_framed(answers, event))
                await events.send(answers.end)
            except ClientDisconnect:
                return
            except Exception as error:
                if not events.started:
                    raise
                status, body = describe(error)
                record.status = status
                await events.send(_framed(answers, answers.error_event(status, body.model_dump())))
            await events.end()


def _framed(answers: Answers, event: bytes) -> bytes:
    """Return the bytes of an event in a stream, given its JSON, in which separators of lines are escaped."""
    if not event.isascii():
        for separator, escaped in _SEPARATORS:
            event = event.replace(separator, escaped)
    return answers.framed(event)


class _EventSender:
    def __init__(self, headers: list[tuple[bytes, bytes]], send: Send, keep_alive: float, *, comment: bytes) -> None:
        self._headers = headers
        self._send = send
        self._longest_silence = keep_alive
        self._comment = comment
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
                await self.send(self._comment)
            else:
                await asyncio.sleep(self._longest_silence - silent)
