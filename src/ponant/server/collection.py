"""Pauses of Python's garbage collection while large bodies are in memory."""

import asyncio
import contextlib
import gc
from collections.abc import Iterator

from starlette.types import ASGIApp, Receive, Scope, Send

from ponant.server.dialects.base import EXCHANGE, DialectExchange
from ponant.server.header_text import header

_LARGE = 2**16
"""Bytes of a body whose objects take long to collect."""
_LONGEST_PAUSE = 10.0
"""Seconds after which garbage is collected all the same, in a thread."""


class CollectionPauses:
    """Pauses garbage collection during requests with large JSON bodies, and drops their bodies at the end.

    A collection visits every object of all bodies, in whichever thread it becomes due: that of the event loop, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._requests = 0
        self._was_enabled = False
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or not _is_large(scope):
            await self._app(scope, receive, send)
            _released(scope)
            return
        with self._paused():
            await self._app(scope, receive, send)
            held = _released(scope)
            await asyncio.to_thread(held.clear)  # deletes all objects of the body

    @contextlib.contextmanager
    def _paused(self) -> Iterator[None]:
        if not self._requests:
            self._was_enabled = gc.isenabled()
            self._collect_later()
        self._requests += 1
        gc.disable()
        try:
            yield
        finally:
            self._requests -= 1
            if not self._requests:
                if self._timer:
                    self._timer.cancel()
                if self._was_enabled:
                    gc.enable()

    def _collect_later(self) -> None:
        loop = asyncio.get_running_loop()

        def collect() -> None:
            loop.run_in_executor(None, gc.collect)
            self._collect_later()

        self._timer = loop.call_later(_LONGEST_PAUSE, collect)


def _released(scope: Scope) -> list[object]:
    """Return what holds the body of a request. An idle connection keeps the scope of its last one."""
    exchange = scope.pop(EXCHANGE, None)
    return exchange.release() if isinstance(exchange, DialectExchange) else []


def _is_large(scope: Scope) -> bool:
    if header(scope, b"content-type").startswith("multipart/"):
        return False
    size = header(scope, b"content-length")
    return bool(header(scope, b"transfer-encoding")) or (size.isdecimal() and int(size) > _LARGE)
