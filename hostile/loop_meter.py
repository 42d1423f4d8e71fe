"""Processor time of an event loop's thread between two polls, and events that must be few."""

import asyncio
import contextlib
import selectors
import time
from collections.abc import Iterator
from typing import Any

import msgspec


class LoopCounts(msgspec.Struct):
    """Counts since the last reset.

    Attributes:
        worst_turn: most processor time of the loop's thread between two polls, in seconds.
        most_values: most JSON values that one body was parsed into.
        most_errors: most validation errors that were built for one request.
    """

    worst_turn: float = 0.0
    most_values: int = 0
    most_errors: int = 0


class LoopMeter:
    """Meter of one event loop. ``new_loop`` makes the loop; a thread with another loop needs another meter."""

    def __init__(self) -> None:
        self.counts = LoopCounts()
        self._began: float | None = None
        self._excused = 0.0

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Return an event loop that is measured."""
        return asyncio.SelectorEventLoop(_MeteredSelector(self))

    def reset(self) -> LoopCounts:
        """Return the counts, and begin new ones."""
        counts, self.counts = self.counts, LoopCounts()
        return counts

    def begin_turn(self) -> None:
        """Begin to measure; called by the loop's thread after a poll."""
        self._excused = 0.0
        self._began = time.thread_time()

    def end_turn(self) -> None:
        """End a measurement; called by the loop's thread before a poll."""
        if self._began is not None:
            spent = time.thread_time() - self._began - self._excused
            self.counts.worst_turn = max(self.counts.worst_turn, spent)

    @contextlib.contextmanager
    def excused(self) -> Iterator[None]:
        """Leave the processor time of a block out of the turn, as it belongs to the measurement."""
        began = time.thread_time()
        try:
            yield
        finally:
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop()
                self._excused += time.thread_time() - began


class _MeteredSelector(selectors.DefaultSelector):
    def __init__(self, meter: LoopMeter) -> None:
        super().__init__()
        self._meter = meter

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Poll between two turns."""
        self._meter.end_turn()
        try:
            return super().select(timeout)
        finally:
            self._meter.begin_turn()


def count_values(parsed: Any) -> int:
    """Return the number of values in a parsed JSON text, containers included."""
    count, left = 0, [parsed]
    while left:
        value = left.pop()
        count += 1
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return count
