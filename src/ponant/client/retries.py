"""Retries of failed requests."""

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
"""HTTP statuses after which a request is retried."""

_LEAST_JITTER = 0.5
"""Minimum random factor of a pause (the maximum is 1), so that clients do not retry simultaneously."""


@dataclass
class BackoffStrategy:
    """Exponential growth of the pauses between attempts. All times are in milliseconds.

    Attributes:
        initial_interval: First pause.
        max_interval: Maximum pause.
        exponent: Factor from one pause to the next.
        max_elapsed_time: Time after which no further attempt is made.
    """

    initial_interval: int
    max_interval: int
    exponent: float
    max_elapsed_time: int


@dataclass
class RetryConfig:
    """Configuration of retries.

    Requests are retried after the statuses 429, 500, 502, 503 and 504, for example with::

        RetryConfig("backoff", BackoffStrategy(500, 30_000, 1.5, 120_000), retry_connection_errors=True)

    Attributes:
        strategy: ``"backoff"``; any other value disables retries.
        backoff: Pauses between attempts. The server's ``Retry-After`` has precedence.
        retry_connection_errors: True to retry after failed connections and timeouts, too.
    """

    strategy: str
    backoff: BackoffStrategy
    retry_connection_errors: bool


class RetryAttempts:
    """Attempts of one request."""

    def __init__(self, config: RetryConfig | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config if config and config.strategy == "backoff" else None
        self._clock = clock
        self._began = clock()
        self._made = 0

    def pause_after(self, outcome: httpx2.Response | httpx2.RequestError) -> float | None:
        """Return the seconds to wait before the next attempt; None if there is none."""
        if self._config is None or not self._may_pass(outcome):
            return None
        asked = retry_after(outcome) if isinstance(outcome, httpx2.Response) else None
        pause = asked or self._backoff(self._config.backoff)  # 0 would repeat the request without a pause
        self._made += 1
        if self._clock() - self._began + pause > self._config.backoff.max_elapsed_time / 1000:
            return None
        return pause

    def _may_pass(self, outcome: httpx2.Response | httpx2.RequestError) -> bool:
        if isinstance(outcome, httpx2.Response):
            return outcome.status_code in RETRIED_STATUSES
        assert self._config
        return self._config.retry_connection_errors and isinstance(outcome, httpx2.TransportError)

    def _backoff(self, backoff: BackoffStrategy) -> float:
        try:
            interval = min(backoff.initial_interval * backoff.exponent**self._made, backoff.max_interval)
        except OverflowError:
            interval = backoff.max_interval
        return interval / 1000 * random.uniform(_LEAST_JITTER, 1)  # noqa: S311 - no secret


def retry_after(response: httpx2.Response) -> float | None:
    """Return the seconds of the ``Retry-After`` header, a number or a date; None if it has no valid value."""
    value = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _seconds_until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
