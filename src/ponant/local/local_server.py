"""Server in this process. Its application runs on an event loop in a daemon thread."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from starlette.types import ASGIApp

from ponant.local.exchange import Exchange
from ponant.server.run import running_app
from ponant.settings import Settings, read_settings

T = TypeVar("T")

_CLOSING_SECONDS = 10.0
"""Maximum time to close. Workers end in any case when their socket closes."""


class LocalServer:
    """Application and its engines, from ``start`` to ``close``. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app: Future[ASGIApp] = Future()
        self._loop = asyncio.new_event_loop()
        self._exchanges: set[Exchange] = set()
        self._main = self._loop.create_task(self._serve())
        self._thread = threading.Thread(target=self._run, name="ponant-local-server", daemon=True)
        self._process = os.getpid()
        self._lock = threading.RLock()  # garbage collection may call close() during close()
        self._closed = False

    @classmethod
    def start(cls, settings: Mapping[str, Any]) -> "LocalServer":
        """Start a server, which begins to load its models. Raises ValueError if a setting is not valid."""
        server = cls(read_settings(None, **{**settings, "auth": False, "api_keys": []}))
        server._thread.start()
        return server

    def wait(self) -> None:
        """Wait until the models are loaded. Raises the error of loading."""
        self._check_process()
        self._app.result()

    async def wait_async(self) -> None:
        """Wait until the models are loaded; see ``wait``."""
        self._check_process()
        await asyncio.shield(asyncio.wrap_future(self._app))  # a cancelled wait must not cancel the loading

    async def exchange(self, scope: dict[str, Any], body: bytes | Iterable[bytes]) -> Exchange:
        """Send a request. Has to be run by ``run`` or ``run_async``."""
        exchange = Exchange(self._app.result(timeout=0), scope, body)
        self._exchanges.add(exchange)
        exchange.task.add_done_callback(lambda _: self._exchanges.discard(exchange))
        return exchange

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's event loop and wait for its result."""
        future = self._submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def run_async(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's event loop and await its result on this one."""
        return await asyncio.wrap_future(self._submit(work))

    def leave(self, exchange: Exchange) -> None:
        """Disconnect a request whose response is no longer read."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(exchange.leave)

    def close(self) -> None:
        """End all requests and engines."""
        if os.getpid() != self._process:
            return
        with self._lock:
            closing, self._closed = not self._closed, True
        if closing:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._main.cancel)
        if threading.current_thread() is not self._thread:
            self._thread.join(_CLOSING_SECONDS)

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        try:
            self._check_process()
            if self._closed:
                raise ConnectionError("the client is closed")
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except BaseException:
            work.close()
            raise

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError("a local client cannot be used in a forked process; create a new one there")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._main)
        finally:
            self._loop.run_until_complete(self._end_rest())
            self._loop.close()

    async def _serve(self) -> None:
        try:
            async with running_app(self._settings) as app:
                self._app.set_result(app)
                try:
                    await asyncio.Event().wait()
                finally:
                    await self._end_exchanges()
        except asyncio.CancelledError:
            if not self._app.done():
                self._app.set_exception(RuntimeError("the client was closed before its model was loaded"))
        except Exception as error:
            if self._app.done():
                raise
            self._app.set_exception(error)

    async def _end_exchanges(self) -> None:
        tasks = [exchange.task for exchange in self._exchanges]
        for exchange in list(self._exchanges):
            exchange.leave()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _end_rest(self) -> None:
        """Cancel the tasks that started while the server was closing."""
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
