"""A scenario of fairness: a very long prompt arrives while others are being answered."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from benchmarks.exchange import Exchange, Target, fill, send
from benchmarks.loads import Load
from benchmarks.measure import percentile, warm_up
from benchmarks.scenario import Outcome, Session

POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Arrival:
    """Streams run, a long prompt arrives, and the two slow each other down.

    Attributes:
        streams: The load whose clients are the streams, each with one request that ends long after the measurement.
        long: The load whose first request is sent to the idle server, and the second one beside the streams.
        tokens_before: How many tokens every stream has before the long prompt arrives.
    """

    streams: Load
    long: Load
    tokens_before: int

    @property
    def name(self) -> str:
        """What happens."""
        return f"prompt of {self.long.prompt_tokens:,} tokens beside {self.streams.clients} streams"

    async def run(self, session: Session) -> Outcome:
        """Time the long prompt on an idle server, then another one beside the streams, and what it does to those."""
        await warm_up(session.target, self.streams.temperature)
        outcome = Outcome()
        alone = await send(session.target, self.long.request(0))
        beside, streams = await self.run_beside_streams(session.target)
        good = outcome.count(alone, beside, *streams)
        if len(good) < outcome.requests or alone.first_token is None or beside.first_token is None:
            return outcome
        before = [later - earlier for stream in streams for earlier, later in stream.gaps if later <= beside.started]
        during = [
            later - earlier
            for stream in streams
            for earlier, later in stream.gaps
            if later > beside.started and earlier < beside.first_token
        ]
        gaps = percentile(before, 0.95), percentile(during, 0.95)
        waits = alone.first_token - alone.started, beside.first_token - beside.started
        outcome.add("long prompt's tokens", alone.prompt_tokens)
        outcome.add("between tokens p95 before, ms", gaps[0], 1000)
        outcome.add("between tokens p95 during, ms", gaps[1], 1000)
        outcome.add("longest between tokens during, ms", max(during, default=None), 1000)
        outcome.add("between tokens p95, during / before", gaps[1] / gaps[0] if gaps[0] and gaps[1] else None)
        outcome.add("long prompt's first token, idle, s", waits[0])
        outcome.add("long prompt's first token, beside streams, s", waits[1])
        outcome.add("long prompt's first token, beside / idle", waits[1] / waits[0])
        return outcome

    async def run_beside_streams(self, target: Target) -> tuple[Exchange, list[Exchange]]:
        """Start the streams, send the long prompt, and end all once each has a token from after its first one."""
        streams = [Exchange(started=0) for _ in range(self.streams.clients)]
        tasks = [
            asyncio.create_task(fill(stream, target, self.streams.request(number)))
            for number, stream in enumerate(streams)
        ]
        try:
            await wait_for_streams(streams, tasks, lambda times: len(times) >= self.tokens_before)
            beside = await send(target, self.long.request(1))
            arrived = beside.first_token
            if arrived is not None:
                await wait_for_streams(streams, tasks, lambda times: bool(times) and times[-1] > arrived)
            for stream, task in zip(streams, tasks, strict=True):
                if task.done() and stream.error is None and arrived is not None and stream.finished < arrived:
                    stream.error = "the stream ended before the long prompt's first token"
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
        return beside, streams


async def wait_for_streams(
    streams: list[Exchange], tasks: list[asyncio.Task[None]], enough: Callable[[list[float]], bool]
) -> None:
    """Wait until the token times of every stream that still runs are enough."""
    for stream, task in zip(streams, tasks, strict=True):
        while not (task.done() or enough(stream.token_times.get(0, []))):
            await asyncio.wait([task], timeout=POLL_SECONDS)
