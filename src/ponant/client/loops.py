"""HTTP clients of event loops. An async client can only be closed in its event loop."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import httpx2

from ponant.transports.environment import AsyncEnvironmentTransport

_closing: set[asyncio.Task[None]] = set()
"""Running tasks, because event loops hold only weak references to them."""


def close_later(loop: asyncio.AbstractEventLoop, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Schedule the closing of an object in its event loop. Thread-safe."""

    def begin() -> None:
        task = loop.create_task(close())
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    with contextlib.suppress(RuntimeError):  # the loop is closed
        # A loop that is about to stop would create the task in this iteration and never run it.
        loop.call_soon_threadsafe(loop.call_soon, begin)


class LoopClients:
    """HTTP clients by event loop, closed by ``close`` or when their loop ends."""

    def __init__(self) -> None:
        self._clients: dict[asyncio.AbstractEventLoop, _LoopClient] = {}
        self._lock = threading.Lock()

    def current(self) -> httpx2.AsyncClient:
        """Return the client of the running event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._clients:
                self._clients = {known: kept for known, kept in self._clients.items() if not known.is_closed()}
                self._clients[loop] = _LoopClient()
            return self._clients[loop].http

    def close(self) -> None:
        """Schedule the closing of all clients in their event loops."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for loop, client in clients.items():
            client.leave()
            close_later(loop, client.http.aclose)

    async def close_async(self) -> None:
        """Close all clients; that of the running event loop is closed when this returns."""
        with self._lock:
            client = self._clients.pop(asyncio.get_running_loop(), None)
        self.close()
        if client:
            client.leave()
            await client.http.aclose()


class _LoopClient:
    """HTTP client that is closed at the end of its event loop, through an async generator."""

    def __init__(self) -> None:
        self.http = httpx2.AsyncClient(follow_redirects=True, transport=AsyncEnvironmentTransport())
        self._left = False
        self._waiting = self._wait()
        _run(self._waiting.__anext__())

    def leave(self) -> None:
        """Do not close the client at the end of the loop: the caller closes it."""
        self._left = True
        _run(self._waiting.aclose())

    async def _wait(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if not self._left:
                await self.http.aclose()


def _run(step: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that awaits nothing. A loop that is ending the generator may run it at the same time."""
    with contextlib.suppress(StopIteration, RuntimeError):
        step.send(None)
