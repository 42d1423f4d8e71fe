"""Scenarios: what is measured of a running server, from a load's figures to a long prompt among streams."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Protocol

import psutil

from benchmarks.exchange import Exchange, Message, Request, Target, fill, send
from benchmarks.loads import Load, Report, run_load, sum_known, warm_up
from benchmarks.report import percentile
from benchmarks.servers import Running

SAMPLE_SECONDS = 0.25
POLL_SECONDS = 0.01


@dataclass(slots=True)
class Outcome:
    """The figures of one run of a scenario.

    Attributes:
        figures: The figures by their titles, without those that were not measured.
        requests: The number of requests.
        failures: Occurrences of each reason why a request failed or is incomplete.
    """

    figures: dict[str, float] = field(default_factory=dict[str, float])
    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter[str])

    def add(self, title: str, value: float | None, scale: float = 1.0) -> None:
        """Add a figure, unless it is None."""
        if value is not None:
            self.figures[title] = value * scale

    def count(self, *exchanges: Exchange) -> list[Exchange]:
        """Count requests and failures; return the exchanges without errors."""
        self.requests += len(exchanges)
        self.failures.update(exchange.error for exchange in exchanges if exchange.error is not None)
        return [exchange for exchange in exchanges if exchange.error is None]


class Scenario(Protocol):
    """A measurement. Scenarios are hashable, so that equal ones are run once."""

    @property
    def name(self) -> str:
        """Name in progress lines and tables."""
        ...

    async def run(self, server: Running) -> Outcome:
        """Measure a server."""
        ...


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a report: its title, its value, and the factor to its unit."""

    title: str
    read: Callable[[Report], float | None]
    scale: float = 1.0


FIRST_TOKEN = Figure("first token p50, ms", lambda report: report.first_token_p50, 1000)
TOKENS_PER_SECOND = Figure("tokens/s", lambda report: report.tokens_per_second)
PROMPT_TOKENS = Figure("prompt tokens", lambda report: report.prompt_tokens)
RATES = (
    TOKENS_PER_SECOND,
    FIRST_TOKEN,
    Figure("first token p95, ms", lambda report: report.first_token_p95, 1000),
    Figure("between tokens p50, ms", lambda report: report.between_tokens_p50, 1000),
    Figure("between tokens p95, ms", lambda report: report.between_tokens_p95, 1000),
)
PREDICTED = (
    TOKENS_PER_SECOND,
    Figure("tokens accepted", lambda report: report.accepted),
    Figure("tokens rejected", lambda report: report.rejected),
)
WALL_TIME = (Figure("wall time, s", lambda report: report.seconds), PROMPT_TOKENS, FIRST_TOKEN)
REQUEST_TIME = (
    Figure("wall time of a request p50, s", lambda report: report.request_p50),
    PROMPT_TOKENS,
    FIRST_TOKEN,
)


@dataclass(frozen=True, slots=True)
class Chat:
    """A load, and the figures of its report that are shown."""

    load: Load
    figures: tuple[Figure, ...]

    @property
    def name(self) -> str:
        """The load's name."""
        return self.load.name

    async def run(self, server: Running) -> Outcome:
        """Run the load."""
        report = await run_load(server.target, self.load)
        outcome = outcome_of(report)
        if report.requests > report.errors:
            for figure in self.figures:
                outcome.add(figure.title, figure.read(report), figure.scale)
        return outcome


def outcome_of(report: Report) -> Outcome:
    """Return an outcome with a report's failures and no figures."""
    outcome = Outcome(requests=report.requests)
    outcome.failures.update(report.error_counts)
    if report.short_requests:
        outcome.failures["the answer is too short"] = report.short_requests
    return outcome


@dataclass(frozen=True, slots=True)
class Memory:
    """The resident memory of a server's processes under a load.

    Pages that processes share are divided among them (proportional set size), so the figure is too small on a machine
    where other processes have the same weights open.
    """

    load: Load

    @property
    def name(self) -> str:
        """The load's name."""
        return f"memory, {self.load.name}"

    async def run(self, server: Running) -> Outcome:
        """Run the load and sample the processes' memory."""
        samples: list[int] = []
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run_load(server.target, self.load))
            while not task.done():
                samples.append(await asyncio.to_thread(resident_memory, server.process))
                await asyncio.wait([task], timeout=SAMPLE_SECONDS)
        outcome = outcome_of(task.result())
        outcome.add("resident at most, MiB", max(samples) / 2**20)
        outcome.add("resident p50, MiB", median(samples) / 2**20)
        return outcome


def resident_memory(process: int) -> int:
    """Return the proportional set size, in bytes, of a process and its descendants."""
    first = psutil.Process(process)
    total = 0
    for member in (first, *first.children(recursive=True)):
        try:
            memory = member.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        total += getattr(memory, "pss", memory.rss)
    return total


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """The time from the start of the program to the first token of the first request."""

    load: Load

    @property
    def name(self) -> str:
        """A fixed name."""
        return "from the start to the first token"

    async def run(self, server: Running) -> Outcome:
        """Send one request to a server that has just become ready."""
        exchange = await send(server.target, self.load.request(0))
        outcome = Outcome()
        if outcome.count(exchange) and exchange.first_token is not None:
            outcome.add("ready, s", exchange.started - server.started)
            outcome.add("first token, s", exchange.first_token - server.started)
        return outcome


@dataclass(frozen=True, slots=True)
class Arrival:
    """A long prompt arrives while streams run, and the two slow each other down.

    Attributes:
        streams: The load whose clients are the streams, each with one request that outlasts the measurement.
        long: The load whose first request is sent to the idle server, and its second one while the streams run.
        tokens_before: Tokens of every stream before the long prompt arrives.
    """

    streams: Load
    long: Load
    tokens_before: int

    @property
    def name(self) -> str:
        """The sizes of both loads."""
        return f"prompt of {self.long.prompt_tokens:,} tokens during {self.streams.clients} streams"

    async def run(self, server: Running) -> Outcome:
        """Time the long prompt on the idle server, then another one among the streams, and the streams' tokens."""
        await warm_up(server.target, self.streams.temperature)
        outcome = Outcome()
        alone = await send(server.target, self.long.request(0))
        among, streams = await self.run_among_streams(server.target)
        good = outcome.count(alone, among, *streams)
        if len(good) < outcome.requests or alone.first_token is None or among.first_token is None:
            return outcome
        before = [later - earlier for stream in streams for earlier, later in stream.gaps if later <= among.started]
        during = [
            later - earlier
            for stream in streams
            for earlier, later in stream.gaps
            if later > among.started and earlier < among.first_token
        ]
        gaps = percentile(before, 0.95), percentile(during, 0.95)
        waits = alone.first_token - alone.started, among.first_token - among.started
        outcome.add("long prompt's tokens", alone.prompt_tokens)
        outcome.add("between tokens p95 before, ms", gaps[0], 1000)
        outcome.add("between tokens p95 during, ms", gaps[1], 1000)
        outcome.add("longest between tokens during, ms", max(during, default=None), 1000)
        outcome.add("between tokens p95, during / before", gaps[1] / gaps[0] if gaps[0] and gaps[1] else None)
        outcome.add("long prompt's first token, idle, s", waits[0])
        outcome.add("long prompt's first token, during streams, s", waits[1])
        outcome.add("long prompt's first token, during streams / idle", waits[1] / waits[0])
        return outcome

    async def run_among_streams(self, target: Target) -> tuple[Exchange, list[Exchange]]:
        """Start the streams, send the long prompt, and end once each stream has a token after its first token."""
        streams = [Exchange(started=0) for _ in range(self.streams.clients)]
        tasks = [
            asyncio.create_task(fill(stream, target, self.streams.request(number)))
            for number, stream in enumerate(streams)
        ]
        try:
            await wait_for_streams(streams, tasks, lambda times: len(times) >= self.tokens_before)
            among = await send(target, self.long.request(1))
            arrived = among.first_token
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
        return among, streams


async def wait_for_streams(
    streams: list[Exchange], tasks: list[asyncio.Task[None]], enough: Callable[[list[float]], bool]
) -> None:
    """Wait until `enough` is true of the token times of every stream that still runs."""
    for stream, task in zip(streams, tasks, strict=True):
        while not (task.done() or enough(stream.token_times.get(0, []))):
            await asyncio.wait([task], timeout=POLL_SECONDS)


BEGINNING = """```python
LAMPS = {"""
REST = """
    "alder": {"height": 12, "seconds": 5, "range": 118},
    "birch": {"height": 31, "seconds": 8, "range": 205},
    "cedar": {"height": 24, "seconds": 3, "range": 160},
    "elder": {"height": 17, "seconds": 9, "range": 131},
    "hazel": {"height": 45, "seconds": 4, "range": 274},
    "larch": {"height": 28, "seconds": 7, "range": 187},
    "maple": {"height": 36, "seconds": 6, "range": 219},
    "olive": {"height": 19, "seconds": 2, "range": 142},
    "rowan": {"height": 22, "seconds": 5, "range": 153},
    "thorn": {"height": 40, "seconds": 3, "range": 236},
    "willow": {"height": 33, "seconds": 8, "range": 198},
    "yew": {"height": 26, "seconds": 4, "range": 171},
}
```"""
CHANGES = (
    ('"height": 45, "seconds": 4', '"height": 54, "seconds": 4'),
    ('"range": 219', '"range": 912'),
    ('"height": 24, "seconds": 3, "range": 160', '"height": 62, "seconds": 1, "range": 485'),
)
MOST_TOKENS = 400


class Prediction(StrEnum):
    """The prediction of a request."""

    NOTHING = "nothing"
    OLD_FILE = "the old file"
    ANSWER = "the answer of an earlier run"


@dataclass(frozen=True, slots=True)
class Rewriting:
    """One client has a table repeated with one line changed, once with each change.

    The bundled model is too small to change a line of code by itself: it forgets the change or the rest. So the file is
    a table, the prompt contains the changed line already, and the answer begins with the file's first line. The
    prediction is the old file, from which the answer departs at the changed line and at the model's mistakes.
    """

    prediction: Prediction

    @property
    def name(self) -> str:
        """The prediction."""
        return f"repeat a file with one line changed, prediction: {self.prediction}"

    async def run(self, server: Running) -> Outcome:
        """Send a request for each change."""
        await warm_up(server.target, temperature=0)
        exchanges = [await self.rewrite(server.target, change) for change in CHANGES]
        outcome = Outcome()
        good = outcome.count(*exchanges)
        if good:
            tokens = sum(exchange.tokens for exchange in good)
            outcome.add("tokens/s", tokens / sum(exchange.finished - exchange.started for exchange in good))
            outcome.add("tokens", tokens)
            outcome.add("answers without a mistake, %", faithful_share(exchanges), 100)
            outcome.add("tokens accepted", sum_known([exchange.accepted for exchange in good]))
            outcome.add("tokens rejected", sum_known([exchange.rejected for exchange in good]))
        return outcome

    async def rewrite(self, target: Target, change: tuple[str, str]) -> Exchange:
        """Send one request."""
        prediction = await self.predict(target, change)
        return await send(target, rewriting_request(change, prediction))

    async def predict(self, target: Target, change: tuple[str, str]) -> str | None:
        """Return the prediction. If it is the answer itself, send a request for it first."""
        match self.prediction:
            case Prediction.NOTHING:
                return None
            case Prediction.OLD_FILE:
                return BEGINNING + REST
            case Prediction.ANSWER:
                return (await send(target, rewriting_request(change))).text


def rewriting_request(change: tuple[str, str], prediction: str | None = None) -> Request:
    """Return the request to repeat the file with one change."""
    file = BEGINNING + REST.replace(*change)
    return Request(
        messages=(Message("user", f"Repeat this file.\n\n{file}"), Message("assistant", BEGINNING, prefix=True)),
        tokens=MOST_TOKENS,
        exact=False,
        prediction=prediction,
    )


def faithful_share(exchanges: list[Exchange]) -> float:
    """Return the share of answers, one for each change, that have every line as the prompt has it."""
    wanted = [BEGINNING + REST.replace(*change) for change in CHANGES]
    answers = [exchange.text.strip() for exchange in exchanges]
    return sum(map(str.__eq__, wanted, answers)) / len(wanted)
