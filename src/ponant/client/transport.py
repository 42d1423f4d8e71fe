"""Calls as HTTP requests, and responses as results or errors."""

import asyncio
import contextlib
import os
import threading
import time
import weakref
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
from ponant.client.loops import LOOPBACK, LoopClients
from ponant.client.retries import RetryAttempts, RetryConfig
from ponant.client.unset import UNSET, OptionalNullable

T = TypeVar("T")

_JSON = "application/json"
_EVENTS = "text/event-stream"
_BYTES = "application/octet-stream"
_CONNECT_SECONDS = 10.0
_LIBRARY_TIMEOUT = httpx2.Timeout(5.0)
"""What httpx2 gives clients whose maker says nothing; too short for answers of a model."""


@dataclass(frozen=True)
class Configuration:
    """What all calls of a client have in common.

    Attributes:
        server_url: the server's address.
        api_key: the key, or what gives it for each request.
        retries: whether and how requests are sent again.
        timeout_ms: how long an answer, or the next event of a stream, may take.
    """

    server_url: str
    api_key: str | Callable[[], str | None] | None = field(default=None, repr=False)
    retries: OptionalNullable[RetryConfig] = UNSET
    timeout_ms: int | None = None


class Host(Protocol):
    """A server that lives as long as its client."""

    def wait(self) -> None:
        """Wait until it can answer; raises why it cannot."""

    async def wait_async(self) -> None:
        """As ``wait``."""

    def close(self) -> None:
        """End it."""


class Transport:
    """Sends calls. Connections are opened when they are needed first, and closed once the transport is forgotten."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        client: httpx2.Client | None = None,
        async_client: httpx2.AsyncClient | None = None,
        host: Host | None = None,
    ) -> None:
        """Send calls through these clients, which stay their maker's to close, or through clients of its own.

        Args:
            configuration: what all calls have in common.
            client: for sync calls.
            async_client: for async calls.
            host: a server that serves this client alone; it is closed once the transport is closed or forgotten.
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
        """Wait until calls can be answered, where that is known; raises why they cannot."""
        if self._host:
            self._host.wait()

    async def open_async(self) -> None:
        """As ``open``."""
        if self._host:
            await self._host.wait_async()

    def answer(self, call: Call[T]) -> T:
        """The answer to a call; raises one of the errors in ``ponant.client.errors``."""
        with contextlib.closing(call):
            response = self._send(call, _Sending(call, self._configuration, _JSON))
        return _result(call, response)

    async def answer_async(self, call: Call[T]) -> T:
        """As ``answer``."""
        with contextlib.closing(call):
            response = await self._send_async(call, _Sending(call, self._configuration, _JSON))
        return _result(call, response)

    def stream(self, call: Call[T]) -> EventStream[T]:
        """The events of a call's answer; raises as ``answer`` does."""
        sending = _Sending(call, self._configuration, _EVENTS)
        return EventStream(self._send(call, sending), call.read, sending.deadline, self)

    async def stream_async(self, call: Call[T]) -> EventStreamAsync[T]:
        """As ``stream``."""
        sending = _Sending(call, self._configuration, _EVENTS)
        return EventStreamAsync(await self._send_async(call, sending), call.read, sending.deadline, self)

    def download(self, call: Call[bytes]) -> httpx2.Response:
        """The response to a call, its content not read; raises as ``answer`` does."""
        return self._kept_open(self._send(call, _Sending(call, self._configuration, _BYTES)))

    async def download_async(self, call: Call[bytes]) -> httpx2.Response:
        """As ``download``."""
        return self._kept_open(await self._send_async(call, _Sending(call, self._configuration, _BYTES)))

    def close(self) -> None:
        """Close all connections (those of async calls as soon as their event loop comes to it), and the host."""
        self._close_own()
        self._own_async.close()
        if self._finish:
            self._finish()

    async def close_async(self) -> None:
        """As ``close``, but the connections of this event loop are closed when this returns."""
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
        """The response, which now keeps the server from being closed as nobody's while it is read."""
        response.extensions["ponant"] = self
        return response

    def _client(self) -> httpx2.Client:
        if self._given:
            return self._given
        with self._lock:
            self._check_open()
            if self._own is None or self._process != os.getpid():  # a fork must not use its parent's connections
                self._own = httpx2.Client(follow_redirects=True, mounts=dict.fromkeys(LOOPBACK))
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
    """What sync and async sending have in common: the request, its deadline, its attempts, and what they lead to."""

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
        """The request of a new attempt."""
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
        """Whether the response is to be read piece by piece; one of JSON or events is watched from now on."""
        if self._call.form:
            self.deadline.restart()  # the time to send a file does not count
        if self._expected != _BYTES:
            watch(response, self.deadline)
        return self._expected != _JSON and self._is_expected(response)

    def has_readable_body(self, response: httpx2.Response) -> bool:
        """Whether a response other than a stream has an end that can be waited for."""
        return response.status_code != 200 or (self._expected == _JSON and _content_type(response) != _EVENTS)

    def pause_after_failure(self, error: httpx2.RequestError) -> float:
        """Seconds until the next attempt; raises what the failure means if there is none."""
        pause = self.attempts.pause_after(error)
        if pause is None:
            raise failure(error, error.request, seconds=self.deadline.seconds) from error
        return pause

    def checked(self, response: httpx2.Response) -> httpx2.Response:
        """The response, if it is of the kind that was asked for; raises what it means if not."""
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
        headers = httpx2.Headers({"accept": self._expected, "user-agent": f"ponant/{__version__}"})
        key = self._configuration.api_key
        if callable(key):
            key = key()
        if key:
            headers["authorization"] = f"Bearer {key.strip()}"
        headers.update(given)
        for name, value in headers.items():
            if not value.isprintable():  # what the value is may be a secret
                raise ValueError(f"the header {name} has a line break or another control character in it")
        return headers


def checked_url(server_url: str) -> str:
    """A server's address without a slash, or the API's ``/v1``, at its end. Raises ValueError if it is none."""
    try:
        url = httpx2.URL(server_url)
    except (httpx2.InvalidURL, TypeError) as error:
        raise ValueError(f"server_url {server_url!r} is no address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"server_url must begin with http:// or https:// and a host; {server_url!r} does not")
    if url.query or url.fragment:
        raise ValueError(f"server_url must end with a host or a path; {server_url!r} does not")
    return server_url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def check_timeout(timeout_ms: int | None) -> None:
    """Raises ValueError if this is no time to wait."""
    if timeout_ms is not None and timeout_ms <= 0:
        raise ValueError("timeout_ms must be greater than 0; None waits without end")


def _content_type(response: httpx2.Response) -> str:
    kind: str = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind


def _form_arguments(form: Form | None) -> dict[str, Any]:
    """A form as httpx2 takes it."""
    if form is None:
        return {}
    return {"data": form.fields, "files": {"file": (form.file_name, form.content, form.content_type)}}


def _result(call: Call[T], response: httpx2.Response) -> T:
    try:
        return call.read(response.content)
    except ValueError as error:
        raise ResponseValidationError("The response cannot be read", response, error) from error
