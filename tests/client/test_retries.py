"""Retries of failed requests, and the pauses before them."""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest

from ponant import Mistral, models
from ponant.client.retries import RetryAttempts, retry_after
from ponant.utils import BackoffStrategy, RetryConfig
from tests.client.misbehaving import ANSWER, DONE, event, misbehaving, reset, respond, send, stream
from tests.client.ways import Way

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
ERROR = {"object": "error", "message": "Busy.", "type": "rate_limited", "param": None, "code": "1300"}


def quick(*, elapsed: int = 60_000, connection_errors: bool = False, strategy: str = "backoff") -> RetryConfig:
    return RetryConfig(strategy, BackoffStrategy(1, 5, 1.5, elapsed), connection_errors)


@pytest.fixture(params=["sync", "async"], scope="module")
def way(request: pytest.FixtureRequest) -> Way:
    return Way(Mistral(retry_config=quick()), asynchronous=request.param == "async", in_process=False)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses of this thread, recorded and skipped. Servers of other tests in this process pause as usual."""
    taken: list[float] = []
    here, sleep, sleep_async = threading.get_ident(), time.sleep, asyncio.sleep

    def pause(seconds: float) -> None:
        if threading.get_ident() == here:
            taken.append(seconds)
        else:
            sleep(seconds)

    async def pause_async(seconds: float) -> None:
        if threading.get_ident() == here:
            taken.append(seconds)
        else:
            await sleep_async(seconds)

    monkeypatch.setattr(time, "sleep", pause)
    monkeypatch.setattr(asyncio, "sleep", pause_async)
    return taken


# Requests that are retried


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(way: Way, status: int) -> None:
    with misbehaving(respond(status, ERROR), respond(status), respond(200, ANSWER)) as server:
        assert way.call("chat.complete", server_url=server.url, **REQUEST).id == "cmpl-1"
    assert len(server.requests) == 3
    assert len(set(server.requests)) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 501])
def test_what_will_not_pass_is_not_tried_again(way: Way, status: int) -> None:
    with misbehaving(respond(status, ERROR)) as server, pytest.raises(models.MistralError) as caught:
        way.call("chat.complete", server_url=server.url, **REQUEST)
    assert caught.value.status_code == status
    assert len(server.requests) == 1


def test_a_stream_is_tried_again_until_it_begins(way: Way) -> None:
    with misbehaving(respond(503, ERROR), stream(event(), DONE)) as server:
        assert len(way.call("chat.stream", server_url=server.url, **REQUEST)) == 1
    assert len(server.requests) == 2


def test_a_stream_that_has_begun_is_not_tried_again(way: Way) -> None:
    with misbehaving(stream(event())) as server, pytest.raises(models.ConnectionLostError):
        retrying = quick(connection_errors=True)
        way.call("chat.stream", server_url=server.url, retries=retrying, **REQUEST)
    assert len(server.requests) == 1


@pytest.mark.parametrize("behaviour", [reset, send(b"no HTTP"), send()], ids=["reset", "no HTTP", "nothing"])
def test_connection_errors_are_tried_again_if_asked(way: Way, behaviour: Callable[[Any], None]) -> None:
    with misbehaving(behaviour) as server, pytest.raises(models.ConnectionLostError):
        way.call("chat.complete", server_url=server.url, **REQUEST)
    assert len(server.requests) == 1
    with misbehaving(behaviour, respond(200, ANSWER)) as server:
        way.call("chat.complete", server_url=server.url, retries=quick(connection_errors=True), **REQUEST)
    assert len(server.requests) == 2


def test_the_calls_setting_wins_over_the_clients(way: Way) -> None:
    for setting in (None, quick(strategy="none")):
        with misbehaving(respond(503, ERROR)) as server, pytest.raises(models.SDKError, match=r"Busy.*retries="):
            way.call("chat.complete", server_url=server.url, retries=setting, **REQUEST)
        assert len(server.requests) == 1


def test_without_a_setting_nothing_is_tried_again() -> None:
    with misbehaving(respond(503, ERROR)) as server, pytest.raises(models.SDKError):
        Mistral(server_url=server.url).models.list()
    assert len(server.requests) == 1


# Pauses


def test_retry_after_is_waited_for(way: Way, pauses: list[float]) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    behaviours = [respond(429, ERROR, retry_after=value) for value in ("7", "0.5", date, "tomorrow", "-3", "nan")]
    with misbehaving(*behaviours, respond(200, ANSWER)) as server:
        way.call("chat.complete", server_url=server.url, **REQUEST)
    seconds, fraction, until_date, nonsense, negative, not_a_number = pauses
    assert (seconds, fraction) == (7, 0.5)
    assert 25 < until_date <= 30
    assert min(nonsense, negative, not_a_number) > 0
    assert max(nonsense, negative, not_a_number) <= 0.005


def test_what_would_take_too_long_is_not_waited_for(way: Way, pauses: list[float]) -> None:
    with misbehaving(respond(429, ERROR, retry_after="61")) as server, pytest.raises(models.SDKError) as caught:
        way.call("chat.complete", server_url=server.url, **REQUEST)
    assert caught.value.headers["retry-after"] == "61"
    assert pauses == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None),
        ("0", 0),
        ("inf", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("1e400", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(httpx2.Response(429, headers={"retry-after": value})) == seconds
    assert retry_after(httpx2.Response(429)) is None


def test_pauses_grow_and_are_not_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []

    def longest(least: float, most: float) -> float:
        drawn.append(least)
        return most

    monkeypatch.setattr(random, "uniform", longest)
    attempts = RetryAttempts(RetryConfig("backoff", BackoffStrategy(100, 1000, 2.0, 10**9), False))
    failed = httpx2.Response(503)
    assert [attempts.pause_after(failed) for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert set(drawn) == {0.5}


def test_attempts_end_when_the_time_is_over() -> None:
    now = 0.0
    attempts = RetryAttempts(RetryConfig("backoff", BackoffStrategy(1000, 1000, 1, 10_000), False), clock=lambda: now)
    failed = httpx2.Response(503)
    now = 9.0
    assert attempts.pause_after(failed) is not None
    now = 9.6
    assert attempts.pause_after(failed) is None


def test_pauses_stay_finite_however_many_attempts() -> None:
    attempts = RetryAttempts(RetryConfig("backoff", BackoffStrategy(500, 60_000, 1e300, 10**12), True))
    assert all((attempts.pause_after(httpx2.ReadError("x")) or 0) <= 60 for _ in range(5))
