"""Lanes: each runs one job at a time, independently of the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from ponant.storage.jobs import Row


@dataclass
class Lane(Generic[Row]):
    """Runs jobs from one state in which they wait, one at a time.

    Attributes:
        waiting: state of jobs that wait for this lane.
        begun: state of jobs that this lane runs. A job is found in it when the process that ran it has ended.
        work: runs a job, begun or not, until it has left both states. The event is set when the job's cancellation is
            requested; then ``work`` ends soon, and the job stays in ``CANCELLATION_REQUESTED``.
        is_busy: True while a job runs.
    """

    waiting: str
    begun: str
    work: Callable[[Row, asyncio.Event], Awaitable[None]]
    is_busy: bool = False

    def choose(self, jobs: Sequence[Row]) -> Row | None:
        """Return the job to run next: one already begun, or else the first that waits."""
        return next((job for state in (self.begun, self.waiting) for job in jobs if job.status == state), None)
