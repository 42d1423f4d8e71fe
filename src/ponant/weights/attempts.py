"""Requests that are repeated as long as their failure may pass, and who is told of it."""

import contextlib
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Protocol

import httpx2

from ponant.sizes import megabytes

_MOST_ATTEMPTS = 6
"""How often in a row a server may fail without sending anything new."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_LONGEST_ASKED_PAUSE = 600.0
RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be others a little later."""
_LONGEST_BODY = 32 * 2**20
"""Bytes of an answer that is kept in memory, such as the list of a repository's files."""
PERMANENT_ERRORS = (httpx2.TooManyRedirects, httpx2.UnsupportedProtocol, httpx2.DecodingError)
"""Failures between here and the server that will not pass."""


class DownloadError(Exception):
    """A file cannot be had. The message says why, without the file's name."""


class RefusedError(DownloadError):
    """The server answers with an error that will not pass. ``status`` is the HTTP status."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(_describe(response))
        self.status = response.status_code


class RetryableError(Exception):
    """The server answers with an error that may pass."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(_describe(response))
        self.response = response


class Watcher(Protocol):
    """Is told how a download goes."""

    def begin(self, name: str, size: int, done: int) -> None:
        """A file of ``size`` bytes is being fetched, of which ``done`` are there."""
        ...

    def advance(self, done: int) -> None:
        """So many bytes of it are there now: also less than before, when it must begin anew."""
        ...

    def say(self, text: str) -> None:
        """Something that a person should know, in a line."""
        ...


class SilentWatcher:
    """Nobody looks."""

    def begin(self, name: str, size: int, done: int) -> None:
        """Nothing."""

    def advance(self, done: int) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""


class Attempts:
    """Counts failures that may pass, and waits after each, longer and longer or as long as the server asks."""

    def __init__(self, watcher: Watcher, pause: Callable[[float], None]) -> None:
        self._watcher = watcher
        self._pause = pause
        self._failures = 0

    def reset(self) -> None:
        """Something has come: failures are counted from here."""
        self._failures = 0

    def failed(self, reason: str, asked: float | None = None) -> None:
        """Wait before the next attempt.

        Args:
            reason: what went wrong.
            asked: the seconds that the server asks for.

        Raises:
            DownloadError: there is to be none.
        """
        self._failures += 1
        if self._failures == _MOST_ATTEMPTS:
            raise DownloadError(f"{reason}; given up after {_MOST_ATTEMPTS} attempts")
        if asked is not None and asked > _LONGEST_ASKED_PAUSE:
            raise DownloadError(f"{reason}; it asks to come again in {asked:.0f} s")
        seconds = min(_FIRST_PAUSE * 2 ** (self._failures - 1), _LONGEST_PAUSE)
        seconds = max(seconds, asked or 0)
        self._watcher.say(f"{reason}; trying again in {seconds:g} s")
        self._pause(seconds)


def get(
    client: httpx2.Client, url: str, watcher: Watcher, *, pause: Callable[[float], None] = time.sleep
) -> tuple[httpx2.Response, bytes]:
    """The response to a request, with its body; the request is repeated as long as its failure may pass.

    Raises:
        DownloadError: there is no connection, the server fails again and again, or it sends more than anyone can want.
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
    """The body. Raises DownloadError if it is too long to be kept in memory."""
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > _LONGEST_BODY:
            raise DownloadError(f"{response.request.url.host} sends more than {megabytes(_LONGEST_BODY)} as an answer")
    return bytes(body)


def describe_failure(error: httpx2.RequestError) -> str:
    """What went wrong between here and the server."""
    host = error.request.url.host
    if isinstance(error, httpx2.TooManyRedirects):
        return f"{host} redirects without end"
    if isinstance(error, httpx2.UnsupportedProtocol):
        return f"{error.request.url} is no address to fetch from"
    if isinstance(error, httpx2.DecodingError):
        return f"{host} sends what cannot be read: {error}"
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return f"cannot reach {host}: {str(error) or 'no answer'}"
    if isinstance(error, httpx2.TimeoutException):
        return f"{host} has gone silent"
    return f"the connection to {host} broke off"


def _describe(response: httpx2.Response) -> str:
    host = response.request.url.host
    return f"{host} answers {response.status_code} {response.reason_phrase}".rstrip()


def retry_after(response: httpx2.Response) -> float | None:
    """The seconds that the server asks to wait, as a number or a date; None if it does not."""
    value = response.headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return None
