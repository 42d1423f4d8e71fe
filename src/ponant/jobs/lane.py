"""Lanes of a runner."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from ponant.storage.jobs import Row


@dataclass
class Lane(Generic[Row]):
    """Runs one job at a time. The lanes of a runner are independent of each other.

    Attributes:
        waiting: state of jobs that wait for this lane.
        begun: state of jobs that run in this lane, or did when the server ended.
        work: runs a job in either state until it has left both. When the cancellation of the job is requested, the
            event is set; ``work`` then ends soon and leaves the job in ``CANCELLATION_REQUESTED``.
        is_busy: True while a job runs.
    """

    waiting: str
    begun: str
    work: Callable[[Row, asyncio.Event], Awaitable[None]]
    is_busy: bool = False

    def choose(self, jobs: Sequence[Row]) -> Row | None:
        """Return the next job: one that was begun before, or else the first that waits."""
        return next((job for state in (self.begun, self.waiting) for job in jobs if job.status == state), None)
