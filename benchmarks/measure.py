"""Runs a load against a server and sums up what its clients saw."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.exchange import Exchange, Target, send
from benchmarks.loads import Load

WARM_UP = Load("warm-up", clients=1, requests=1, tokens=16, first_prompt=10_000)


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of a load gave. Times are in seconds; a figure without any sample is None.

    The time between tokens is the time between two events with text of the same choice; a server that puts several
    tokens into one event shows fewer and longer ones.

    Attributes:
        short_requests: Requests that ended with fewer tokens than asked for.
        prompt_tokens: The tokens of a prompt, by the server's count (median).
        accepted: How many tokens of predictions the server took, where it says so.
        rejected: How many it computed in vain.
        client_cpu: Processor time this program took for the load, which it takes from the server on a small machine.
        error_counts: Each error's text and how often it came.
    """

    load: str
    clients: int
    requests: int
    errors: int
    short_requests: int
    prompt_tokens: float | None
    tokens: int
    seconds: float
    tokens_per_second: float
    request_p50: float | None
    first_token_p50: float | None
    first_token_p95: float | None
    between_tokens_p50: float | None
    between_tokens_p95: float | None
    accepted: int | None
    rejected: int | None
    client_cpu: float
    error_counts: dict[str, int]


async def run_load(target: Target, load: Load) -> Report:
    """Warm the server up with one request that does not count, run the load, and report."""
    await warm_up(target, load.temperature)
    processor_start = time.process_time()
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(run_client(target, load, client)) for client in range(load.clients)]
    exchanges = [exchange for client in clients for exchange in client.result()]
    return summarize(load, exchanges, start, time.process_time() - processor_start)


async def warm_up(target: Target, temperature: float) -> None:
    """Send a short request that does not count."""
    await send(target, replace(WARM_UP, temperature=temperature).request(0))


async def run_client(target: Target, load: Load, client: int) -> list[Exchange]:
    """Send one client's requests, one after the other."""
    first = client * load.requests
    return [await send(target, load.request(number)) for number in range(first, first + load.requests)]


def summarize(load: Load, exchanges: list[Exchange], start: float, client_cpu: float) -> Report:
    """Sum up the exchanges of one run; those that failed count as errors and nothing else."""
    good = [exchange for exchange in exchanges if exchange.error is None]
    errors = Counter(exchange.error for exchange in exchanges if exchange.error is not None)
    first_tokens = [exchange.first_token - exchange.started for exchange in good if exchange.first_token is not None]
    between_tokens = [later - earlier for exchange in good for earlier, later in exchange.gaps]
    tokens = sum(exchange.tokens for exchange in good)
    seconds = max((exchange.finished for exchange in good), default=start) - start
    return Report(
        load=load.name,
        clients=load.clients,
        requests=len(exchanges),
        errors=errors.total(),
        short_requests=sum(exchange.tokens < load.tokens * load.choices for exchange in good),
        prompt_tokens=percentile([exchange.prompt_tokens for exchange in good], 0.50),
        tokens=tokens,
        seconds=seconds,
        tokens_per_second=tokens / seconds if seconds > 0 else 0.0,
        request_p50=percentile([exchange.finished - exchange.started for exchange in good], 0.50),
        first_token_p50=percentile(first_tokens, 0.50),
        first_token_p95=percentile(first_tokens, 0.95),
        between_tokens_p50=percentile(between_tokens, 0.50),
        between_tokens_p95=percentile(between_tokens, 0.95),
        accepted=sum_known([exchange.accepted for exchange in good]),
        rejected=sum_known([exchange.rejected for exchange in good]),
        client_cpu=client_cpu,
        error_counts=dict(errors),
    )


def sum_known(counts: list[int | None]) -> int | None:
    """Return the sum of the counts that are known, or None without any."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def percentile(values: Sequence[float], fraction: float) -> float | None:
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
