"""HTTP transport of calls: requests, and responses as results or errors."""

import asyncio
import contextlib
import os
import threading
import time
import weakref
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import httpx2

from ponant._version import __version__
from ponant.client.call import Call, Form
from ponant.client.deadline import Deadline, watch
from ponant.client.errors import ConnectionLostError, ResponseValidationError
from ponant.client.event_stream import EventStream, EventStreamAsync
from ponant.client.failures import error_of, failure, unexpected
from ponant.client.keys import authorization
from ponant.client.loops import LoopClients
from ponant.client.retries import RetryAttempts, RetryConfig
from ponant.client.unset import UNSET, OptionalNullable
from ponant.transports.addresses import check_connectable
from ponant.transports.environment import EnvironmentTransport

T = TypeVar("T")

_JSON = "application/json"
_EVENTS = "text/event-stream"
_BYTES = "application/octet-stream"
_CONNECT_SECONDS = 10.0
_LIBRARY_TIMEOUT = httpx2.Timeout(5.0)
"""Default timeout of httpx2's clients, which is too short for a model's answers."""


@dataclass(frozen=True)
class Configuration:
    """Settings of all calls of a client.

    Attributes:
        server_url: address of the server.
        api_key: key, or function that returns it for each request.
        retries: retries of failed requests.
        timeout_ms: maximum time for an answer, or for the next event of a stream, in milliseconds.
    """

    server_url: str
    api_key: str | Callable[[], str | None] | None = field(default=None, repr=False)
    retries: OptionalNullable[RetryConfig] = UNSET
    timeout_ms: int | None = None


class Host(Protocol):
    """Server that belongs to a client and ends with it."""

    def wait(self) -> None:
        """Wait until the server is ready. Raises the reason if it cannot be."""

    async def wait_async(self) -> None:
        """Wait until the server is ready; see ``wait``."""

    def close(self) -> None:
        """End the server."""


class Transport:
    """Sender of calls. Connections are opened on first use, and closed when the transport is garbage-collected."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        client: httpx2.Client | None = None,
        async_client: httpx2.AsyncClient | None = None,
        host: Host | None = None,
    ) -> None:
        """Send calls through the given HTTP clients, which are not closed, or through own ones.

        Args:
            configuration: settings of all calls.
            client: HTTP client for sync calls.
            async_client: HTTP client for async calls.
            host: server of this client alone, closed with the transport or when it is garbage-collected.
        """
        self._configuration = configuration
        self._given = client
        self._given_async = async_client
        self._own: httpx2.Client | None = None
        self._process = os.getpid()
        self._own_async = LoopClients()
        weakref.finalize(self, self._own_async.close)
        self._lock = threading.Lock()
        self._closed = False
        self._host = host
        self._finish = weakref.finalize(self, host.close) if host else None

    def open(self) -> None:
        """Wait until a local server is ready. Raises the reason if it cannot be."""
        if self._host:
            self._host.wait()

    async def open_async(self) -> None:
        """Wait until a local server is ready; see ``open``."""
        if self._host:
            await self._host.wait_async()

    def answer(self, call: Call[T]) -> T:
        """Return the answer of a call. Raises one of the errors in ``ponant.client.errors``."""
        with contextlib.closing(call):
            response = self._send(call, _Sending(call, self._configuration, _JSON))
        return _result(call, response)

    async def answer_async(self, call: Call[T]) -> T:
        """Return the answer of a call; see ``answer``."""
        with contextlib.closing(call):
            response = await self._send_async(call, _Sending(call, self._configuration, _JSON))
        return _result(call, response)

    def stream(self, call: Call[T]) -> EventStream[T]:
        """Return the events of a call's answer. Raises the errors of ``answer``."""
        sending = _Sending(call, self._configuration, _EVENTS)
        response = self._send(call, sending)
        return EventStream(response, call.read, sending.deadline, self, call.is_complete)

    async def stream_async(self, call: Call[T]) -> EventStreamAsync[T]:
        """Return the events of a call's answer; see ``stream``."""
        sending = _Sending(call, self._configuration, _EVENTS)
        response = await self._send_async(call, sending)
        return EventStreamAsync(response, call.read, sending.deadline, self, call.is_complete)

    def download(self, call: Call[bytes]) -> httpx2.Response:
        """Return the response of a call before its content is read. Raises the errors of ``answer``."""
        return self._kept_open(self._send(call, _Sending(call, self._configuration, _BYTES)))

    async def download_async(self, call: Call[bytes]) -> httpx2.Response:
        """Return the response of a call before its content is read; see ``download``."""
        return self._kept_open(await self._send_async(call, _Sending(call, self._configuration, _BYTES)))

    def close(self) -> None:
        """Close the host and all connections; those of async calls are closed by their event loops soon after."""
        self._close_own()
        self._own_async.close()
        if self._finish:
            self._finish()

    async def close_async(self) -> None:
        """Close the host and all connections; those of this event loop are closed when this returns."""
        self._close_own()
        await self._own_async.close_async()
        if self._finish:
            await asyncio.to_thread(self._finish)

    def _send(self, call: Call[T], sending: "_Sending") -> httpx2.Response:
        client = self._client()
        while True:
            try:
                response = client.send(sending.request(client), stream=True)
                if sending.begins_stream(response):
                    return response
                try:
                    if sending.has_readable_body(response):
                        response.read()
                finally:
                    response.close()
                pause = sending.attempts.pause_after(response)
            except httpx2.RequestError as error:
                pause = sending.pause_after_failure(error)
            else:
                if pause is None:
                    return sending.checked(response)
            time.sleep(pause)

    async def _send_async(self, call: Call[T], sending: "_Sending") -> httpx2.Response:
        client = self._async_client()
        while True:
            try:
                response = await client.send(sending.request(client), stream=True)
                if sending.begins_stream(response):
                    return response
                try:
                    if sending.has_readable_body(response):
                        await response.aread()
                finally:
                    await response.aclose()
                pause = sending.attempts.pause_after(response)
            except httpx2.RequestError as error:
                pause = sending.pause_after_failure(error)
            else:
                if pause is None:
                    return sending.checked(response)
            await asyncio.sleep(pause)

    def _kept_open(self, response: httpx2.Response) -> httpx2.Response:
        """Return the response with a reference to the transport, so that a local server lives while it is read."""
        response.extensions["ponant"] = self
        return response

    def _client(self) -> httpx2.Client:
        if self._given:
            return self._given
        with self._lock:
            self._check_open()
            if self._own is None or self._process != os.getpid():  # a fork must not use its parent's connections
                self._own = httpx2.Client(follow_redirects=True, transport=EnvironmentTransport())
                self._process = os.getpid()
                weakref.finalize(self, self._own.close)
            return self._own

    def _async_client(self) -> httpx2.AsyncClient:
        if self._given_async:
            return self._given_async
        self._check_open()
        return self._own_async.current()

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionLostError("The client is closed. Make a new one: Mistral(...).")

    def _close_own(self) -> None:
        with self._lock:
            self._closed = True
        if self._own:
            self._own.close()


class _Sending:
    """State of a call being sent, for sync and async: its requests, deadline, attempts and outcome."""

    def __init__(self, call: Call[T], configuration: Configuration, expected: str) -> None:
        options = call.options
        self._call = call
        self._configuration = configuration
        self._expected = expected
        self._timeout_ms = configuration.timeout_ms if options.timeout_ms is None else options.timeout_ms
        check_timeout(self._timeout_ms)
        retries = configuration.retries if options.retries is UNSET else options.retries
        self.attempts = RetryAttempts(None if retries is UNSET else retries)
        self.deadline = Deadline(None)

    def request(self, client: httpx2.Client | httpx2.AsyncClient) -> httpx2.Request:
        """Return the request of a new attempt."""
        call = self._call
        timeout = self._timeout(client)
        self.deadline = Deadline(timeout.read)
        return client.build_request(
            call.method,
            checked_url(call.options.server_url or self._configuration.server_url) + call.path,
            params=call.query or None,
            json=call.body,
            **_form_arguments(call.form),
            headers=self._headers(call.options.http_headers or {}),
            timeout=timeout,
        )

    def begins_stream(self, response: httpx2.Response) -> bool:
        """Return True if the response is to be read in pieces. The deadline applies to JSON and events from now on."""
        if self._call.form:
            self.deadline.restart()  # sending a file does not count
        if self._expected != _BYTES:
            watch(response, self.deadline)
        return self._expected != _JSON and self._is_expected(response)

    def has_readable_body(self, response: httpx2.Response) -> bool:
        """Return True if a response other than a stream is expected to end."""
        return response.status_code != 200 or (self._expected == _JSON and _content_type(response) != _EVENTS)

    def pause_after_failure(self, error: httpx2.RequestError) -> float:
        """Return the seconds until the next attempt. Raises the error of the failure if there is none."""
        pause = self.attempts.pause_after(error)
        if pause is None:
            raise failure(error, error.request, seconds=self.deadline.seconds) from error
        return pause

    def checked(self, response: httpx2.Response) -> httpx2.Response:
        """Return the response if it has the expected type. Raises its error otherwise."""
        if response.status_code >= 400:
            raise error_of(response)
        if not self._is_expected(response):
            raise unexpected(response, self._expected, None if self.has_readable_body(response) else "")
        return response

    def _is_expected(self, response: httpx2.Response) -> bool:
        return response.status_code == 200 and _content_type(response) == self._expected

    def _timeout(self, client: httpx2.Client | httpx2.AsyncClient) -> httpx2.Timeout:
        if self._timeout_ms is not None:
            seconds = self._timeout_ms / 1000
            return httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
        if client.timeout != _LIBRARY_TIMEOUT:
            return client.timeout
        return httpx2.Timeout(None, connect=_CONNECT_SECONDS)

    def _headers(self, given: Mapping[str, str]) -> httpx2.Headers:
        own = {"accept": self._expected, "user-agent": f"ponant/{__version__}"}
        key = self._configuration.api_key
        if callable(key):
            key = key()
        headers = httpx2.Headers(own | authorization(key), encoding="utf-8")
        headers.update(httpx2.Headers(given, encoding="utf-8"))
        for name, value in headers.items():
            if not value.isprintable():  # the value may be secret
                raise ValueError(f"the header {name} contains a line break or another control character")
        return headers


def checked_url(server_url: str) -> str:
    """Return a server's address without a trailing slash or ``/v1``. Raises ValueError if it is not valid."""
    try:
        url = httpx2.URL(server_url)
    except (httpx2.InvalidURL, TypeError) as error:
        raise ValueError(f"server_url {server_url!r} is not a valid URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"server_url must begin with http:// or https:// and a host; {server_url!r} does not")
    try:
        check_connectable(url.host, url.port)
    except ValueError as error:
        raise ValueError(f"server_url {server_url!r} is not a valid URL: {error}") from None
    if url.query or url.fragment:
        raise ValueError(f"server_url must end with a host or a path; {server_url!r} does not")
    return server_url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def check_timeout(timeout_ms: int | None) -> None:
    """Raise ValueError if a timeout is not positive."""
    if timeout_ms is not None and timeout_ms <= 0:
        raise ValueError("timeout_ms must be greater than 0; None sets no limit")


def _content_type(response: httpx2.Response) -> str:
    kind: str = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind


def _form_arguments(form: Form | None) -> dict[str, Any]:
    """Return the arguments of httpx2 for a form."""
    if form is None:
        return {}
    return {"data": form.fields, "files": {"file": (form.file_name, form.content, form.content_type)}}


def _result(call: Call[T], response: httpx2.Response) -> T:
    try:
        return call.read(response.content.removeprefix(BOM_UTF8))
    except ValueError as error:
        raise ResponseValidationError("The response cannot be read", response, error) from error
