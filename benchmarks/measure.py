"""Runs a load against a server and sums up what its clients saw."""

import asyncio
import json
import time
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypedDict, cast

from benchmarks.dialects import Dialect, request_body
from benchmarks.loads import Load
from benchmarks.stream_client import SHOWN_ERROR_SIZE, Endpoint, StreamError, stream_events

WARM_UP_TOKENS = 16
WARM_UP_PROMPT = 10_000


@dataclass(frozen=True, slots=True)
class Target:
    """The server a load is sent to, and how it wants to be spoken to."""

    endpoint: Endpoint
    dialect: Dialect
    model: str | None = None
    exact: bool = True
    timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of a load gave. Times are in seconds; a figure without any sample is None.

    The time between tokens is the time between two events with text of the same choice; a server that puts several
    tokens into one event shows fewer and longer ones.

    Attributes:
        short_requests: Requests that ended with fewer tokens than asked for.
        client_cpu: Processor time this program took for the load, which it takes from the server on a small machine.
        error_counts: Each error's text and how often it came.
    """

    load: str
    clients: int
    requests: int
    errors: int
    short_requests: int
    tokens: int
    seconds: float
    tokens_per_second: float
    first_token_p50: float | None
    first_token_p95: float | None
    between_tokens_p50: float | None
    between_tokens_p95: float | None
    client_cpu: float
    error_counts: dict[str, int]


async def run_load(target: Target, load: Load) -> Report:
    """Warm the server up with one request that does not count, run the load, and report."""
    await send(target, replace(load, tokens=WARM_UP_TOKENS, first_prompt=WARM_UP_PROMPT), 0)
    processor_start = time.process_time()
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(run_client(target, load, client)) for client in range(load.clients)]
    exchanges = [exchange for client in clients for exchange in client.result()]
    return summarize(load, exchanges, start, time.process_time() - processor_start)


@dataclass(slots=True)
class Exchange:
    """One request and what came back."""

    started: float
    finished: float = 0.0
    first_token: float | None = None
    between_tokens: list[float] = field(default_factory=list[float])
    events: int = 0
    counted_tokens: int | None = None
    error: str | None = None
    _last_token: dict[int, float] = field(default_factory=dict[int, float])

    @property
    def tokens(self) -> int:
        """The server's own count where it gave one, else the number of events with text."""
        return self.events if self.counted_tokens is None else self.counted_tokens

    def receive(self, payload: bytes) -> None:
        """Take in the data of one event.

        Raises:
            StreamError: The event reports an error.
        """
        now = self.finished = time.perf_counter()
        chunk = cast(Chunk, json.loads(payload))
        if "choices" not in chunk:
            raise StreamError(f"an event without choices: {payload[:SHOWN_ERROR_SIZE].decode(errors='replace')}")
        if usage := chunk.get("usage"):
            self.counted_tokens = usage["completion_tokens"]
        for choice in chunk["choices"]:
            delta = choice["delta"]
            if not (delta.get("content") or delta.get("reasoning_content") or delta.get("tool_calls")):
                continue
            self.events += 1
            if self.first_token is None:
                self.first_token = now
            last = self._last_token.get(choice["index"])
            if last is not None:
                self.between_tokens.append(now - last)
            self._last_token[choice["index"]] = now


class Usage(TypedDict):
    """The part of a chunk's usage that is read."""

    completion_tokens: int


class ChunkDelta(TypedDict, total=False):
    """What a chunk adds to a choice, in any dialect."""

    content: object
    reasoning_content: object
    tool_calls: object


class ChunkChoice(TypedDict):
    """One choice in a chunk."""

    index: int
    delta: ChunkDelta


class Chunk(TypedDict, total=False):
    """The data of one event; one that reports an error has no choices, whatever its shape."""

    choices: list[ChunkChoice]
    usage: Usage | None


async def run_client(target: Target, load: Load, client: int) -> list[Exchange]:
    """Send one client's requests, one after the other."""
    first = client * load.requests
    return [await send(target, load, number) for number in range(first, first + load.requests)]


async def send(target: Target, load: Load, number: int) -> Exchange:
    """Send one request and read its stream to the end; a failure becomes the exchange's error."""
    body = request_body(load, number, target.dialect, target.model, target.exact)
    exchange = Exchange(started=time.perf_counter())
    try:
        async with asyncio.timeout(target.timeout), aclosing(stream_events(target.endpoint, body)) as events:
            async for payload in events:
                exchange.receive(payload)
    except TimeoutError:
        exchange.error = f"no complete answer within {target.timeout:g} s"
    except (StreamError, OSError) as error:
        exchange.error = str(error)
    except (LookupError, TypeError, ValueError) as error:
        exchange.error = f"an event of another shape: {error!r}"
    return exchange


def summarize(load: Load, exchanges: list[Exchange], start: float, client_cpu: float) -> Report:
    """Sum up the exchanges of one run; those that failed count as errors and nothing else."""
    good = [exchange for exchange in exchanges if exchange.error is None]
    errors = Counter(exchange.error for exchange in exchanges if exchange.error is not None)
    first_tokens = [exchange.first_token - exchange.started for exchange in good if exchange.first_token is not None]
    between_tokens = [gap for exchange in good for gap in exchange.between_tokens]
    tokens = sum(exchange.tokens for exchange in good)
    seconds = max((exchange.finished for exchange in good), default=start) - start
    return Report(
        load=load.name,
        clients=load.clients,
        requests=len(exchanges),
        errors=errors.total(),
        short_requests=sum(exchange.tokens < load.tokens for exchange in good),
        tokens=tokens,
        seconds=seconds,
        tokens_per_second=tokens / seconds if seconds > 0 else 0.0,
        first_token_p50=percentile(first_tokens, 0.50),
        first_token_p95=percentile(first_tokens, 0.95),
        between_tokens_p50=percentile(between_tokens, 0.50),
        between_tokens_p95=percentile(between_tokens, 0.95),
        client_cpu=client_cpu,
        error_counts=dict(errors),
    )


def percentile(values: list[float], fraction: float) -> float | None:
    """Return the value below which the fraction lies, interpolated between neighbours; None for no values.

    Examples:
        >>> percentile([3.0, 1.0, 2.0], 0.5)
        2.0
        >>> percentile([1.0, 2.0], 0.75)
        1.75
    """
    if not values:
        return None
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
