"""What can be measured of a running server: a scenario, its figures, and what one run of it gave."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.exchange import Exchange, Target


@dataclass(frozen=True, slots=True)
class Session:
    """A server that was started for some scenarios.

    Attributes:
        target: Where and how it is asked.
        process: The id of its first process.
        started: When that was started, by `time.perf_counter`.
    """

    target: Target
    process: int
    started: float


@dataclass(slots=True)
class Outcome:
    """What one run of a scenario gave.

    Attributes:
        figures: The figures by their titles; one that could not be had is missing.
        requests: How many requests it sent.
        failures: Why requests failed or are worth less, and how often.
    """

    figures: dict[str, float] = field(default_factory=dict[str, float])
    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter[str])

    def add(self, title: str, value: float | None, scale: float = 1.0) -> None:
        """Note a figure if there is one."""
        if value is not None:
            self.figures[title] = value * scale

    def count(self, *exchanges: Exchange) -> list[Exchange]:
        """Count requests and those that failed; return the others."""
        self.requests += len(exchanges)
        self.failures.update(exchange.error for exchange in exchanges if exchange.error is not None)
        return [exchange for exchange in exchanges if exchange.error is None]


class Scenario(Protocol):
    """Something to measure; hashable, so that equal ones are run once."""

    @property
    def name(self) -> str:
        """What progress and tables call it."""
        ...

    async def run(self, session: Session) -> Outcome:
        """Measure a server."""
        ...
