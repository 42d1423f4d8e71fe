"""Reports of the worker."""

from collections.abc import Iterable

from ponant.engine.base import Delta
from ponant.engine.llama.scheduler import Scheduler
from ponant.engine.llama.step_costs import StepTime
from ponant.engine.report import StepReport

INTERVAL = 1.0
"""Fewest seconds between two reports."""


class Reporter:
    """Counts steps, and reports at most once per ``INTERVAL`` and only what has changed."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._steps = 0
        self._step_seconds = 0.0
        self._computed_tokens = 0
        self._drawn_tokens = 0
        self._last = StepReport()
        self._due = 0.0

    def count(self, step: StepTime, deltas: Iterable[tuple[int, Delta]]) -> None:
        """Add a step and the tokens that it gave."""
        self._steps += 1
        self._step_seconds += step.seconds
        self._computed_tokens += step.decoded + step.prefilled
        self._drawn_tokens += sum(len(delta.tokens) for _, delta in deltas)

    def take(self, now: float) -> StepReport | None:
        """Return a report if one is due.

        Args:
            now: time of a monotonic clock in seconds.
        """
        if now < self._due:
            return None
        report = self._report()
        if report == self._last:
            return None
        self._last, self._due = report, now + INTERVAL
        return report

    def pause(self, now: float) -> float | None:
        """Return the seconds until the next report is due; None if nothing has changed."""
        return None if self._report() == self._last else max(0.0, self._due - now)

    def _report(self) -> StepReport:
        scheduler, cache = self._scheduler, self._scheduler.cache
        kept = cache.kept
        return StepReport(
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            cells_used=cache.used - kept,
            cells_kept=kept,
            tokens_stored=cache.stored,
            steps=self._steps,
            step_seconds=self._step_seconds,
            computed_tokens=self._computed_tokens,
            drawn_tokens=self._drawn_tokens,
            cached_tokens=scheduler.cached_tokens,
        )
