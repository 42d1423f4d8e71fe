"""The simpler scenarios: a load's figures, the memory under it, and how long the first answer takes from the start."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import psutil

from benchmarks.exchange import send
from benchmarks.loads import Load
from benchmarks.measure import Report, run_load
from benchmarks.scenario import Outcome, Session

SAMPLE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a report: its title, where it stands, and the factor to its unit."""

    title: str
    read: Callable[[Report], float | None]
    scale: float = 1.0


RATES = (
    Figure("tokens/s", lambda report: report.tokens_per_second),
    Figure("first token p50, ms", lambda report: report.first_token_p50, 1000),
    Figure("first token p95, ms", lambda report: report.first_token_p95, 1000),
    Figure("between tokens p50, ms", lambda report: report.between_tokens_p50, 1000),
    Figure("between tokens p95, ms", lambda report: report.between_tokens_p95, 1000),
)
PREDICTED = (
    Figure("tokens/s", lambda report: report.tokens_per_second),
    Figure("tokens accepted", lambda report: report.accepted),
    Figure("tokens rejected", lambda report: report.rejected),
)
WALL_TIME = (
    Figure("wall time, s", lambda report: report.seconds),
    Figure("prompt tokens", lambda report: report.prompt_tokens),
    Figure("first token p50, ms", lambda report: report.first_token_p50, 1000),
)
REQUEST_TIME = (
    Figure("wall time of a request p50, s", lambda report: report.request_p50),
    Figure("prompt tokens", lambda report: report.prompt_tokens),
    Figure("first token p50, ms", lambda report: report.first_token_p50, 1000),
)


@dataclass(frozen=True, slots=True)
class Chat:
    """A load and the figures of its report that are shown."""

    load: Load
    figures: tuple[Figure, ...]

    @property
    def name(self) -> str:
        """The load's name."""
        return self.load.name

    async def run(self, session: Session) -> Outcome:
        """Run the load."""
        report = await run_load(session.target, self.load)
        outcome = outcome_of(report)
        if report.requests > report.errors:
            for figure in self.figures:
                outcome.add(figure.title, figure.read(report), figure.scale)
        return outcome


def outcome_of(report: Report) -> Outcome:
    """Return an outcome with a report's failures and no figures yet."""
    outcome = Outcome(requests=report.requests)
    outcome.failures.update(report.error_counts)
    if report.short_requests:
        outcome.failures["the answer is too short"] = report.short_requests
    return outcome


@dataclass(frozen=True, slots=True)
class Memory:
    """The resident memory of all processes of a server while it is under a load.

    Pages that processes share are divided among them (proportional set size): reading it on a machine where others
    have the same weights open gives too little.
    """

    load: Load

    @property
    def name(self) -> str:
        """The load's name."""
        return f"memory, {self.load.name}"

    async def run(self, session: Session) -> Outcome:
        """Run the load and look at the processes now and then."""
        samples: list[int] = []
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run_load(session.target, self.load))
            while not task.done():
                samples.append(await asyncio.to_thread(resident_memory, session.process))
                await asyncio.wait([task], timeout=SAMPLE_SECONDS)
        outcome = outcome_of(task.result())
        outcome.add("resident at most, MiB", max(samples) / 2**20)
        outcome.add("resident p50, MiB", median(samples) / 2**20)
        return outcome


def resident_memory(process: int) -> int:
    """Return the proportional set size, in bytes, of a process and all below it."""
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
    """How long it takes from starting the program to the first token of the first request."""

    load: Load

    @property
    def name(self) -> str:
        """A fixed name."""
        return "from the start to the first token"

    async def run(self, session: Session) -> Outcome:
        """Send one request to the server that has just become ready."""
        exchange = await send(session.target, self.load.request(0))
        outcome = Outcome()
        if outcome.count(exchange) and exchange.first_token is not None:
            outcome.add("ready, s", exchange.started - session.started)
            outcome.add("first token, s", exchange.first_token - session.started)
        return outcome
