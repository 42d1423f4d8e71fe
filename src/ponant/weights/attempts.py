"""Retries of HTTP requests, and the watcher of downloads."""

import contextlib
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Protocol

import httpx2

from ponant.sizes import megabytes
from ponant.transports.environment import ProxyFailedError, UnusableSettingError

_MOST_ATTEMPTS = 6
"""Consecutive failures without new data before a request is given up."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_LONGEST_ASKED_PAUSE = 600.0
RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses of temporary failures."""
_LONGEST_BODY = 32 * 2**20
"""Longest response that is kept in memory, such as the file list of a repository, in bytes."""
PERMANENT_ERRORS = (
    httpx2.TooManyRedirects,
    httpx2.UnsupportedProtocol,
    httpx2.DecodingError,
    UnusableSettingError,
    ProxyFailedError,
)
"""Failures of requests that a retry cannot fix."""


class DownloadError(Exception):
    """A download failed. The message gives the reason, without the name of the file."""


class RefusedError(DownloadError):
    """The server refuses the request. ``status`` is the HTTP status."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(_describe(response))
        self.status = response.status_code


class RetryableError(Exception):
    """The server reports a temporary error."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(_describe(response))
        self.response = response


class Watcher(Protocol):
    """Receives the progress of downloads."""

    def begin(self, name: str, size: int, done: int) -> None:
        """Start a file of ``size`` bytes, of which ``done`` exist already."""
        ...

    def advance(self, done: int) -> None:
        """Set the number of bytes received. It decreases if the download restarts."""
        ...

    def say(self, text: str) -> None:
        """Show one line of text."""
        ...


class SilentWatcher:
    """A watcher that shows nothing."""

    def begin(self, name: str, size: int, done: int) -> None:
        """Do nothing."""

    def advance(self, done: int) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""


class Attempts:
    """Counts temporary failures, and waits after each with exponential backoff or for ``Retry-After``."""

    def __init__(self, watcher: Watcher, pause: Callable[[float], None]) -> None:
        self._watcher = watcher
        self._pause = pause
        self._failures = 0

    def reset(self) -> None:
        """Reset the count of failures after new data."""
        self._failures = 0

    def failed(self, reason: str, asked: float | None = None) -> None:
        """Count a failure and wait before the next attempt.

        Args:
            reason: description of the failure.
            asked: pause that the server asks for, in seconds.

        Raises:
            DownloadError: there were too many failures, or the requested pause is too long.
        """
        self._failures += 1
        if self._failures == _MOST_ATTEMPTS:
            raise DownloadError(f"{reason}; given up after {_MOST_ATTEMPTS} attempts")
        if asked is not None and asked > _LONGEST_ASKED_PAUSE:
            raise DownloadError(f"{reason}; the server asks to retry in {asked:.0f} s")
        seconds = min(_FIRST_PAUSE * 2 ** (self._failures - 1), _LONGEST_PAUSE)
        seconds = max(seconds, asked or 0)
        self._watcher.say(f"{reason}; retrying in {seconds:g} s")
        self._pause(seconds)


def get(
    client: httpx2.Client, url: str, watcher: Watcher, *, pause: Callable[[float], None] = time.sleep
) -> tuple[httpx2.Response, bytes]:
    """Send a GET request, with retries, and return the response and its body.

    Raises:
        DownloadError: there is no connection, the server fails repeatedly, or the body is too long.
    """
    attempts = Attempts(watcher, pause)
    while True:
        try:
            with client.stream("GET", url) as response:
                body = _read(response)
        except (httpx2.ConnectError, *PERMANENT_ERRORS) as error:
            raise DownloadError(describe_failure(error)) from error
        except httpx2.TransportError as error:
            attempts.failed(describe_failure(error))
            continue
        if response.status_code not in RETRYABLE_STATUSES:
            return response, body
        attempts.failed(_describe(response), retry_after(response))


def _read(response: httpx2.Response) -> bytes:
    """Return the body. Raises DownloadError if it is too long."""
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > _LONGEST_BODY:
            raise DownloadError(f"{response.request.url.host} sends a response of more than {megabytes(_LONGEST_BODY)}")
    return bytes(body)


def describe_failure(error: httpx2.RequestError) -> str:
    """Return a description of a failed request."""
    host = error.request.url.host
    if isinstance(error, UnusableSettingError | ProxyFailedError):
        return str(error)
    if isinstance(error, httpx2.TooManyRedirects):
        return f"{host} redirects too often"
    if isinstance(error, httpx2.UnsupportedProtocol):
        return f"{error.request.url} is not an HTTP URL"
    if isinstance(error, httpx2.DecodingError):
        return f"{host} sends a response that cannot be decoded: {error}"
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return f"cannot reach {host}: {str(error) or 'no answer'}"
    if isinstance(error, httpx2.TimeoutException):
        return f"{host} sends no more data"
    return f"the connection to {host} was lost"


def _describe(response: httpx2.Response) -> str:
    host = response.request.url.host
    return f"{host} answers {response.status_code} {response.reason_phrase}".rstrip()


def retry_after(response: httpx2.Response) -> float | None:
    """Return the pause that the server asks for, in seconds; None if there is none."""
    value = response.headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return None
