"""Streamed answers: server-sent events, unless the dialect frames its events otherwise."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ponant.completion.answer import Start, TextPiece
from ponant.completion.calls import CallStyle
from ponant.completion.turns import turn
from ponant.server.body_writer import WriteBody, body_writer_of
from ponant.server.dialects.base import exchange_of
from ponant.server.disconnect import started
from ponant.server.errors import describe
from ponant.server.frames import Frames, framed
from ponant.server.request_record import record_of


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
        events = _EventSender(
            self.raw_headers, send, body_writer_of(scope), self._keep_alive, comment=answers.keep_alive
        )
        current = turn()
        with events.kept_alive():
            try:
                async with started(self._start, scope, receive) as answer:
                    frames = Frames(answer, answers)

                    def write(piece: TextPiece) -> bool:
                        return events.can_write and events.write(frames.of_text(piece))

                    calls = exchange.dialect.calls or self._calls
                    with record.counting(answer):
                        async for piece in answer.chunks(calls, running_usage=answers.running_usage, write=write):
                            await current.share()
                            await events.send(await frames.of(piece))
                for event in answers.ending():
                    await events.send(framed(answers, event))
                await events.send(answers.end)
            except ClientDisconnect:
                return
            except Exception as error:
                if not events.started:
                    raise
                status, body = describe(error)
                record.status = status
                await events.send(framed(answers, answers.error_event(status, body.model_dump())))
            await events.end()


class _EventSender:
    """Sender of the events of a stream.

    Attributes:
        started: True if something was sent.
    """

    def __init__(
        self,
        headers: list[tuple[bytes, bytes]],
        send: Send,
        write: WriteBody | None,
        keep_alive: float,
        *,
        comment: bytes,
    ) -> None:
        self._headers = headers
        self._send = send
        self._write = write
        self._longest_silence = keep_alive
        self._comment = comment
        self._lock = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._last_sent = self._loop.time()
        self._keeping: asyncio.Task[None] | None = None
        self.started = False

    @property
    def can_write(self) -> bool:
        """True if ``write`` may succeed: the stream has begun, and nothing waits to be sent."""
        return self._write is not None and self.started and not self._lock.locked()

    def write(self, event: bytes) -> bool:
        """Write an event at once; returns False if the client has to read first. Call it only if ``can_write``."""
        if self._write is None or not self._write(event):
            return False
        self._last_sent = self._loop.time()
        return True

    async def send(self, event: bytes, *, more: bool = True) -> None:
        async with self._lock:
            if not self.started:
                self.started = True
                await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})
            await self._send({"type": "http.response.body", "body": event, "more_body": more})
            self._last_sent = self._loop.time()

    async def end(self) -> None:
        await self.send(b"", more=False)

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Send comments in the block, whenever nothing was sent for a while."""
        self._timer = self._loop.call_later(self._longest_silence, self._on_timer)
        try:
            yield
        finally:
            self._timer.cancel()
            if self._keeping:
                self._keeping.cancel()

    def _on_timer(self) -> None:
        silent = self._loop.time() - self._last_sent
        if silent >= self._longest_silence:
            silent = 0.0
            if self._keeping is None or self._keeping.done():
                self._keeping = self._loop.create_task(self.send(self._comment))
        self._timer = self._loop.call_later(self._longest_silence - silent, self._on_timer)
