"""Faults around a server: killed workers, disconnected clients, shutdown. No request hangs, no process is left over."""

import asyncio
import json
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.chatting import (
    CHAT,
    ENDLESS,
    answer,
    ask,
    assert_ended_by_error,
    body,
    data_of,
    streamed_texts,
    texts,
)
from tests.serving import EXACT, RunningServer, serving, wait_until
from tests.soak import SOAK

ONE_PLACE = ("--parallel", "1")


@contextmanager
def endless_stream(server: RunningServer) -> Iterator[Iterator[str]]:
    """Yield the data of a started endless stream; leaving the context closes it."""
    with server.client() as client, client.stream("POST", CHAT, json=body(**ENDLESS, stream=True)) as response:
        data = data_of(response)
        next(data)
        yield data


def readiness(server: RunningServer) -> httpx2.Response:
    with server.client() as client:
        return client.get("/ready")


def wait_until_idle(worker: psutil.Process) -> None:
    """Wait until the worker has nothing to compute."""

    def is_idle() -> bool:
        before = sum(worker.cpu_times()[:2])
        time.sleep(0.1)
        return sum(worker.cpu_times()[:2]) == before

    wait_until(is_idle)


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# Killed worker


def test_killed_worker_fails_begun_streams_alone(endless_model: Path) -> None:
    with (
        serving(str(endless_model), *ONE_PLACE, **EXACT, PONANT_QUEUE_LIMIT="2") as server,
        ThreadPoolExecutor() as threads,
        endless_stream(server) as stream,
    ):
        # One of the three is refused, which shows that the others are queued.
        three = {threads.submit(ask, server, random_seed=1, stream=streamed) for streamed in (True, True, False)}
        (refused,), waiting = wait(three, return_when=FIRST_COMPLETED)
        assert refused.result().status_code == 429
        worker = server.worker()
        worker.kill()
        assert_ended_by_error(list(stream), "unavailable")
        for one in waiting:
            assert one.result().status_code == 200
        assert server.worker() != worker


def test_worker_that_is_killed_again_and_again_is_back_at_once(tiny_model: Path) -> None:
    with serving(str(tiny_model), **EXACT) as server, ThreadPoolExecutor() as threads:
        expected = answer(server, random_seed=1)["choices"]
        for _ in range(4):
            wait_until(lambda: readiness(server).status_code == 200)
            server.worker().kill()
            asked = threads.submit(answer, server, random_seed=1)
            wait_until(lambda: "engine process ended with status -9" in readiness(server).text)
            assert "next start in" not in readiness(server).text
            assert asked.result()["choices"] == expected


def test_hung_worker_is_replaced_and_its_requests_are_answered(tiny_model: Path) -> None:
    with (
        serving(str(tiny_model), **EXACT, PONANT_STEP_TIMEOUT="0.5") as server,
        ThreadPoolExecutor() as threads,
    ):
        worker = server.worker()
        worker.suspend()
        asked = threads.submit(answer, server)
        wait_until(lambda: "the engine did nothing for 0.5 s and was ended" in readiness(server).text)
        assert asked.result()["choices"]
        assert has_ended(worker)
        assert readiness(server).status_code == 200


# Disconnected clients


def test_clients_that_leave_free_their_places(endless_model: Path) -> None:
    with serving(str(endless_model), *ONE_PLACE, **EXACT, PONANT_SHUTDOWN_TIMEOUT="600") as server:
        worker = server.worker()
        with endless_stream(server):
            pass
        assert answer(server)["choices"]
        wait_until_idle(worker)

        computed = sum(worker.cpu_times()[:2])
        with server.client(timeout=0.5) as client:
            while sum(worker.cpu_times()[:2]) < computed + 0.2:
                with pytest.raises(httpx2.ReadTimeout):
                    client.post(CHAT, json=body(**ENDLESS))
        assert answer(server)["choices"]
        wait_until_idle(worker)

        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0, "something still runs for a client that left"


def test_clients_that_leave_while_they_wait_are_forgotten(endless_model: Path) -> None:
    with (
        serving(str(endless_model), *ONE_PLACE, **EXACT, PONANT_QUEUE_LIMIT="2") as server,
        endless_stream(server),
    ):
        for _ in range(3):
            with server.client(timeout=0.2) as client, pytest.raises(httpx2.ReadTimeout):
                client.post(CHAT, json=body(**ENDLESS))


# Concurrent requests


@dataclass(frozen=True)
class Request:
    """Request of a crowd: its fields, and the number of answers to others after which its client leaves, or None."""

    fields: dict[str, Any]
    leaves_after: int | None


KINDS: list[dict[str, Any]] = [
    {"text": f"Tell me {'more ' * (seed % 4)}of {seed}", "random_seed": seed, "temperature": 1.0}
    | {"max_tokens": 20 + 5 * (seed % 5), "n": 1 + seed % 2}
    for seed in range(12)
]
CROWD = 120


def crowd(seed: int) -> list[Request]:
    """Return requests in random order, streamed and whole, a third of which are cancelled at random times."""
    draw = random.Random(seed)
    leaving = set(draw.sample(range(CROWD), CROWD // 3))
    return [
        Request(
            KINDS[index % len(KINDS)] | {"stream": draw.random() < 0.5},
            draw.randrange(CROWD // 2) if index in leaving else None,
        )
        for index in draw.sample(range(CROWD), CROWD)
    ]


async def ask_all(server: RunningServer, requests: list[Request]) -> list[list[str] | None]:
    """Send all requests concurrently; return their texts, or None for cancelled ones."""
    answered = 0
    leaving: dict[int, list[asyncio.Task[list[str]]]] = {}

    async def one(client: httpx2.AsyncClient, request: Request) -> list[str]:
        nonlocal answered
        response = await client.post(CHAT, json=body(**request.fields))
        assert response.status_code == 200, response.text
        for task in leaving.pop(answered, ()):
            task.cancel()
        answered += 1
        if not request.fields["stream"]:
            return texts(response.json())
        *events, done = data_of(response)
        assert done == "[DONE]"
        return streamed_texts([json.loads(event) for event in events])

    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=server.url, timeout=120, limits=limits) as client:
        tasks = [asyncio.create_task(one(client, request)) for request in requests]
        for task, request in zip(tasks, requests, strict=True):
            if request.leaves_after is not None:
                leaving.setdefault(request.leaves_after, []).append(task)
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result
    return [None if isinstance(result, BaseException) else result for result in results]


async def test_a_crowd_of_which_a_third_leaves_gets_the_right_texts_and_leaves_nothing_behind(
    tiny_model: Path,
) -> None:
    with serving(str(tiny_model), **EXACT) as server:
        expected = {kind["random_seed"]: texts(answer(server, **kind)) for kind in KINDS}
        processes = [psutil.Process(server.process.pid), server.worker()]
        open_before = [process.num_fds() for process in processes]
        memory: list[list[int]] = []
        for round_ in range(3 if SOAK else 2):
            requests = crowd(round_)
            results = await ask_all(server, requests)
            for request, result in zip(requests, results, strict=True):
                if result is not None or request.leaves_after is None:
                    assert result == expected[request.fields["random_seed"]], request
            left = results.count(None)
            assert left > CROWD // 6, "too few left early for this to show anything"
            assert texts(answer(server, **KINDS[0])) == expected[0]
            wait_until_idle(processes[1])
            wait_until(lambda: [process.num_fds() for process in processes] == open_before)
            memory.append([process.memory_info().rss for process in processes])
        for after_first, after_last in zip(memory[0], memory[-1], strict=True):
            assert after_last - after_first < 8 * 2**20, memory


# Shutdown


def refuses_connections(server: RunningServer) -> bool:
    try:
        readiness(server)
    except httpx2.ConnectError:
        return True
    except httpx2.TransportError:
        pass  # the connection was in the backlog when the server stopped listening
    return False


def test_sigterm_lets_running_streams_finish(endless_model: Path) -> None:
    fields = body(max_tokens=1500, min_tokens=1500, stream=True)
    with serving(str(endless_model), *ONE_PLACE, **EXACT) as server:
        worker = server.worker()
        with server.client() as client, client.stream("POST", CHAT, json=fields) as response:
            data = data_of(response)
            next(data)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: refuses_connections(server))
            *_, last, done = data
        assert done == "[DONE]"
        assert json.loads(last)["usage"]["completion_tokens"] == 1500
        assert server.process.wait(30) == 0
        assert has_ended(worker)


def test_sigterm_fails_what_does_not_finish_in_time(endless_model: Path) -> None:
    with serving(str(endless_model), *ONE_PLACE, **EXACT, PONANT_SHUTDOWN_TIMEOUT="1") as server:
        worker = server.worker()
        with endless_stream(server) as stream:
            server.process.send_signal(signal.SIGTERM)
            assert_ended_by_error(list(stream), "unavailable")
        assert server.process.wait(30) == 0
        assert has_ended(worker)


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_idle_server_stops_when_told_whoever_is_still_connected(tiny_model: Path, kind: signal.Signals) -> None:
    with serving(str(tiny_model), **EXACT) as server, server.client() as client:
        worker = server.worker()
        assert client.get("/health").status_code == 200
        server.process.send_signal(kind)
        assert server.process.wait(30) == 0
        assert has_ended(worker)


def test_killed_server_leaves_no_worker_behind(endless_model: Path) -> None:
    with serving(str(endless_model), *ONE_PLACE, **EXACT) as server:
        worker = server.worker()
        with pytest.raises(httpx2.RemoteProtocolError), endless_stream(server) as stream:
            server.process.kill()
            for _ in stream:
                pass
        wait_until(lambda: has_ended(worker))
