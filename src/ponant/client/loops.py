"""What belongs to an event loop can be closed in that loop alone."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import httpx2

LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")
"""Addresses that no proxy of the environment can reach: they mean this machine."""

_closing: set[asyncio.Task[None]] = set()
"""Loops hold their tasks weakly."""


def close_later(loop: asyncio.AbstractEventLoop, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Have something closed in its event loop, as soon as that comes to it. May be called in any thread."""

    def begin() -> None:
        task = loop.create_task(close())
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    with contextlib.suppress(RuntimeError):  # the loop is closed, and so nothing can be awaited in it
        # Not begun by the turn in which a loop that is about to stop would create the task but never run it.
        loop.call_soon_threadsafe(loop.call_soon, begin)


class LoopClients:
    """HTTP clients, one for each event loop. They are closed by ``close``, or when their loop ends."""

    def __init__(self) -> None:
        self._clients: dict[asyncio.AbstractEventLoop, _LoopClient] = {}
        self._lock = threading.Lock()

    def current(self) -> httpx2.AsyncClient:
        """The client of the running event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._clients:
                self._clients = {known: kept for known, kept in self._clients.items() if not known.is_closed()}
                self._clients[loop] = _LoopClient()
            return self._clients[loop].http

    def close(self) -> None:
        """Have all clients closed, each as soon as its event loop comes to it."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for loop, client in clients.items():
            client.leave()
            close_later(loop, client.http.aclose)

    async def close_async(self) -> None:
        """As ``close``, but the client of the running event loop is closed when this returns."""
        with self._lock:
            client = self._clients.pop(asyncio.get_running_loop(), None)
        self.close()
        if client:
            client.leave()
            await client.http.aclose()


class _LoopClient:
    """An HTTP client that is closed at the end of its event loop, as all async generators are."""

    def __init__(self) -> None:
        self.http = httpx2.AsyncClient(follow_redirects=True, mounts=dict.fromkeys(LOOPBACK))
        self._left = False
        self._waiting = self._wait()
        _run(self._waiting.__anext__())

    def leave(self) -> None:
        """Leave it to others to close the client."""
        self._left = True
        _run(self._waiting.aclose())

    async def _wait(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if not self._left:
                await self.http.aclose()


def _run(step: Coroutine[Any, Any, None]) -> None:
    """Do what awaits nothing. A loop that is just ending the generator does the same."""
    with contextlib.suppress(StopIteration, RuntimeError):
        step.send(None)
