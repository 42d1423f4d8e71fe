"""Transports of httpx2 to a server in this process, with streamed responses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import Any, TypeVar

import httpx2

from ponant.local.exchange import Exchange
from ponant.local.local_server import LocalServer

T = TypeVar("T")

LOCAL_HOST = "localhost"
"""Host in the URLs of requests to a local server."""


class InProcessTransport(httpx2.BaseTransport):
    """Transport of sync requests to a local server."""

    def __init__(self, server: LocalServer) -> None:
        self._server = server

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the response as soon as its headers have arrived."""
        _check_host(request)
        self._server.wait()
        seconds = _read_seconds(request)
        with _as_httpx2_errors():
            exchange = self._server.run(self._server.exchange(_scope(request), _body(request)))
            try:
                status, headers = self._server.run(_within(seconds, exchange.head))
            except BaseException:
                self._server.leave(exchange)
                raise
        return httpx2.Response(status, headers=headers, stream=_Pieces(self._server, exchange, seconds))


class AsyncInProcessTransport(httpx2.AsyncBaseTransport):
    """Transport of async requests to a local server."""

    def __init__(self, server: LocalServer) -> None:
        self._server = server

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the response as soon as its headers have arrived."""
        _check_host(request)
        await self._server.wait_async()
        seconds = _read_seconds(request)
        with _as_httpx2_errors():
            exchange = await self._server.run_async(self._server.exchange(_scope(request), _body(request)))
            try:
                status, headers = await self._server.run_async(_within(seconds, exchange.head))
            except BaseException:
                self._server.leave(exchange)
                raise
        return httpx2.Response(status, headers=headers, stream=_AsyncPieces(self._server, exchange, seconds))


class _Body:
    """Rest of a response. The request ends when it is garbage-collected."""

    def __init__(self, server: LocalServer, exchange: Exchange, seconds: float | None) -> None:
        self._server = server
        self._exchange = exchange
        self._seconds = seconds

    def __del__(self) -> None:
        self._server.leave(self._exchange)

    def _piece(self) -> Coroutine[Any, Any, bytes | None]:
        return _within(self._seconds, self._exchange.piece)


class _Pieces(_Body, httpx2.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx2_errors():
            while (piece := self._server.run(self._piece())) is not None:
                yield piece

    def close(self) -> None:
        self._server.leave(self._exchange)


class _AsyncPieces(_Body, httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx2_errors():
            while (piece := await self._server.run_async(self._piece())) is not None:
                yield piece

    async def aclose(self) -> None:
        self._server.leave(self._exchange)


async def _within(seconds: float | None, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    async with asyncio.timeout(seconds):
        return await work()


@contextlib.contextmanager
def _as_httpx2_errors() -> Iterator[None]:
    """Translate errors to those of a connection. httpx2 adds the request."""
    try:
        yield
    except TimeoutError as error:
        raise httpx2.ReadTimeout("the answer took too long") from error
    except (ConnectionError, CancelledError) as error:
        raise httpx2.RemoteProtocolError(str(error) or "the client is closed") from error


def _check_host(request: httpx2.Request) -> None:
    if request.url.host != LOCAL_HOST:
        raise httpx2.ConnectError("a local client can only reach its own server", request=request)


def _read_seconds(request: httpx2.Request) -> float | None:
    seconds: float | None = request.extensions.get("timeout", {}).get("read")
    return seconds


def _body(request: httpx2.Request) -> bytes | Iterable[bytes]:
    """Return the request's body; an iterable of pieces if it has a file."""
    try:
        return request.content
    except httpx2.RequestNotRead:
        assert isinstance(request.stream, Iterable)
        return request.stream


def _scope(request: httpx2.Request) -> dict[str, Any]:
    """Return the ASGI scope of a request."""
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 0),
    }
