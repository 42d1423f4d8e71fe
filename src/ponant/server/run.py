"""The life of a server: bind the port, load the models, serve requests, shut down on a signal."""

import asyncio
import contextlib
import functools
import gc
import json
import os
import shlex
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import uvicorn

from ponant._version import __version__
from ponant.catalog.catalog import Catalog
from ponant.server.allocator import return_freed_memory
from ponant.server.connection import server_config
from ponant.server.connection_limits import ConnectionLimits, most_connections, raise_descriptor_limit
from ponant.server.wiring import make_app, make_catalog, make_services, open_storage
from ponant.settings import Settings
from ponant.storage.lazy import LazyStorage

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ponant.server.services import Services

FIRST_QUESTION = "What is the capital of Japan?"
"""Question of the printed first request. The bundled model answers it right with nearly every seed."""
_BACKLOG = 2048
_SECONDS_AFTER_FAILING = 5
"""Time for connections to send their last event after requests were failed at a shutdown."""


class PortError(Exception):
    """The server cannot listen on the address. The message tells the user what to do."""


async def run(settings: Settings, *, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: settings of the server.
        say: prints a line for the user at the terminal.

    Raises:
        PortError: the server cannot listen on the address.
        ModelNotFoundError: the weights of a model were not found.
        ModelLoadError: a model cannot be run with its settings.
        StorageError: the data folder or the database cannot be used.
    """
    return_freed_memory()
    listener = listen(settings)
    raise_descriptor_limit()
    with contextlib.closing(listener):
        say(f"Ponant {__version__}")
        catalog = make_catalog(settings, say=say)
        loading = asyncio.create_task(catalog.open(on_loaded=lambda model: say(model.backend.describe(model.id))))
        try:
            storage = await open_storage(settings)
            with contextlib.closing(storage):
                server = await asyncio.to_thread(_make_server, catalog, settings, storage)
                with _on_signals(lambda: _stop(server, settings)):
                    announce = functools.partial(_announce, catalog, settings, listener, say)
                    await _serve(server, listener, loading, announce)
        finally:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            await catalog.close()


async def _serve(
    server: "_Server", listener: socket.socket, loading: asyncio.Task[None], announce: Callable[[], None]
) -> None:
    """Serve while the models load, and then until a signal. Raises what the load raises."""
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.wait({loading, serving}, return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            await loading
            gc.freeze()
            gc.enable()
            announce()
            await serving
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)


@contextlib.asynccontextmanager
async def running_app(settings: Settings) -> "AsyncIterator[FastAPI]":
    """Run the application without a network. Raises what ``run`` raises."""
    catalog = await asyncio.to_thread(make_catalog, settings)
    storage = await open_storage(settings)
    with contextlib.closing(storage):
        await catalog.open()
        try:
            app = make_app(catalog, settings, storage)
            async with app.router.lifespan_context(app):
                yield app
        finally:
            await catalog.close()


def listen(settings: Settings) -> socket.socket:
    """Return a socket that listens on the configured address. Raises PortError."""
    if not settings.api_keys and settings.auth and not _is_loopback(settings.host):
        raise PortError(
            f"listening on {settings.host} without a key would open the server to everyone; "
            "give --api-key KEY, or --no-auth if that is what you want"
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortError(f"cannot listen on {settings.host}: {error.strerror}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise PortError(
            f"cannot listen on {settings.host}:{settings.port}: {reason}; choose another port with --port"
        ) from None
    return listener


def connection_limits(settings: Settings) -> ConnectionLimits:
    """Return the limits of connections by the settings and the file descriptors of this process."""
    return ConnectionLimits(
        head=settings.head_timeout,
        body=settings.body_timeout,
        idle=settings.idle_timeout,
        send=settings.send_timeout,
        most=most_connections(),
    )


def _make_server(catalog: Catalog, settings: Settings, storage: LazyStorage) -> "_Server":
    from ponant.server.app import create_app

    services = make_services(catalog, settings, storage)
    app = create_app(services, settings, stopping=lambda: server.should_exit)
    config = server_config(
        app,
        connection_limits(settings),
        lifespan="on",
        timeout_graceful_shutdown=int(settings.shutdown_timeout) + _SECONDS_AFTER_FAILING,
    )
    server = _Server(config, services)
    return server


def _stop(server: "_Server", settings: Settings) -> None:
    """Accept no more requests, and fail those that still run after ``shutdown_timeout``."""
    server.should_exit = True
    asyncio.get_running_loop().call_later(settings.shutdown_timeout, server.fail_requests)


class _Server(uvicorn.Server):
    """A uvicorn server without signal handlers, so that a regular shutdown has exit code 0."""

    def __init__(self, config: uvicorn.Config, services: "Services") -> None:
        super().__init__(config)
        self._services = services
        self._closing: list[asyncio.Future[None]] = []

    def fail_requests(self) -> None:
        """Fail the requests that still run."""
        for closed in (self._services.completions.close(), self._services.catalog.close()):
            self._closing.append(asyncio.ensure_future(closed))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def _on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` on the first SIGTERM or SIGINT in the block. The second one ends the process at once."""
    loop = asyncio.get_running_loop()
    kinds = (signal.SIGTERM, signal.SIGINT)

    def first() -> None:
        for kind in kinds:
            loop.add_signal_handler(kind, os._exit, 1)
        stop()

    for kind in kinds:
        loop.add_signal_handler(kind, first)
    try:
        yield
    finally:
        for kind in kinds:
            loop.remove_signal_handler(kind)


def _announce(catalog: Catalog, settings: Settings, listener: socket.socket, say: Callable[[str], None]) -> None:
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    model = catalog.default.spec
    body: dict[str, Any]
    if model.kind == "embed":
        path, body = "/v1/embeddings", {"model": model.id, "input": FIRST_QUESTION}
    else:
        path = "/v1/chat/completions"
        body = {"model": model.id, "messages": [{"role": "user", "content": FIRST_QUESTION}]}
    key = ' -H "Authorization: Bearer $PONANT_API_KEY"' if settings.api_keys else ""
    models = ", ".join(model.spec.id for model in catalog.models)
    say(f"Listening on {url} - models: {models}" + (f" - pages: {url}" if settings.pages else ""))
    address = f"{url}{path} -H 'Content-Type: application/json'{key}"
    say(f"Try:\n  curl {address} -d {shlex.quote(json.dumps(body))}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
