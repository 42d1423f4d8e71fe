"""Whether a request is sent again, and when."""

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
"""Answers after which another attempt may fare better."""

_LEAST_JITTER = 0.5
"""Pauses are drawn between this part of their length and all of it, so that clients do not come back together."""


@dataclass
class BackoffStrategy:
    """How pauses between attempts grow. All times are in milliseconds.

    Attributes:
        initial_interval: the first pause.
        max_interval: the longest pause.
        exponent: by how much each pause is longer than the one before.
        max_elapsed_time: after this time no further attempt is begun.
    """

    initial_interval: int
    max_interval: int
    exponent: float
    max_elapsed_time: int


@dataclass
class RetryConfig:
    """Which failures are tried again, and how.

    Attributes:
        strategy: ``"backoff"``; with anything else nothing is tried again.
        backoff: how pauses grow.
        retry_connection_errors: whether failed connections and timeouts are tried again, too.
    """

    strategy: str
    backoff: BackoffStrategy
    retry_connection_errors: bool


class RetryAttempts:
    """The attempts of one request."""

    def __init__(self, config: RetryConfig | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config if config and config.strategy == "backoff" else None
        self._clock = clock
        self._began = clock()
        self._made = 0

    def pause_after(self, outcome: httpx2.Response | httpx2.RequestError) -> float | None:
        """Seconds to wait before the next attempt; None if the outcome is to be taken as it is."""
        if self._config is None or not self._may_pass(outcome):
            return None
        asked = retry_after(outcome) if isinstance(outcome, httpx2.Response) else None
        pause = asked or self._backoff(self._config.backoff)  # "at once" would be asked again and again
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
    """The seconds that the server asks to wait for, given as such or as a date; None if it does not say."""
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
