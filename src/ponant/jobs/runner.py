"""The runner: finds jobs in the database, runs them in lanes, and cancels them."""

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Coroutine
from typing import Generic

from ponant.jobs.job_type import JobType
from ponant.jobs.lane import Lane
from ponant.jobs.lock import folder_lock
from ponant.jobs.retry import pause_after
from ponant.storage.errors import JobStateError, StorageError, UnknownJobError
from ponant.storage.job_states import CANCELLATION_REQUESTED, CANCELLED
from ponant.storage.jobs import Row

logger = logging.getLogger("ponant.jobs")

_POLL_SECONDS = 1.0
"""Seconds between two queries for changes by other processes, while jobs run."""
_IDLE_POLL_SECONDS = 5.0
"""Seconds between two queries while no job runs."""
_CREATION_SECONDS = 3600.0
"""Age of a folder without a job from which it cannot belong to a job that is being created."""


class Runner(Generic[Row]):
    """Runs the jobs of one kind. Of several servers with the same folder, one runs them.

    The state of the jobs is in the database only, so a new server resumes the jobs that an earlier one has begun.
    """

    def __init__(self, job_type: JobType[Row], *, changed: asyncio.Event) -> None:
        """Run jobs.

        Args:
            job_type: the kind of jobs.
            changed: triggers a query of the database when it is set.
        """
        self._type = job_type
        self._store = job_type.store
        self._changed = changed
        self._cancellations: dict[str, asyncio.Event] = {}
        """By the ids of the jobs that run; set when the cancellation of the job is requested."""

    async def run(self) -> None:
        """Run jobs until cancelled. Cancellation ends the work on jobs, and the jobs keep their states."""
        async with folder_lock(self._type.folder):
            await self._sweep()
            await self._type.prepare()
            async with asyncio.TaskGroup() as working:
                while True:
                    self._changed.clear()  # before the query, which can miss later changes
                    await _patiently(self._look(working))
                    with contextlib.suppress(TimeoutError):  # Python 3.11's wait_for can miss a cancellation
                        async with asyncio.timeout(_POLL_SECONDS if self._cancellations else _IDLE_POLL_SECONDS):
                            await self._changed.wait()

    async def _look(self, working: asyncio.TaskGroup) -> None:
        """Give free lanes their next jobs, and cancel jobs, with one query."""
        free = [lane for lane in self._type.lanes if not lane.is_busy]  # the query is for the lanes that are free now
        wanted = [state for lane in free for state in (lane.begun, lane.waiting)]
        jobs = await self._store.in_states(CANCELLATION_REQUESTED, *wanted)
        for lane in free:
            if job := lane.choose([job for job in jobs if job.id not in self._cancellations]):
                lane.is_busy = True
                self._cancellations[job.id] = asyncio.Event()
                working.create_task(self._run_job(lane, job))
        for job in jobs:
            if job.status == CANCELLATION_REQUESTED:
                await self._cancel(job)

    async def _run_job(self, lane: Lane[Row], job: Row) -> None:
        """Run a job in a lane, and free the lane."""
        try:
            await _patiently(self._work(lane, job))
        finally:
            del self._cancellations[job.id]
            lane.is_busy = False
            self._changed.set()

    async def _work(self, lane: Lane[Row], job: Row) -> None:
        try:
            await lane.work(job, self._cancellations[job.id])
        except JobStateError:
            logger.info("job was cancelled meanwhile", extra={"job": job.id})
        except StorageError:
            raise
        except Exception:
            logger.exception("job failed", extra={"job": job.id})
            with contextlib.suppress(JobStateError):
                await self._type.fail(job, "internal_error", "internal error; see the log of the server")

    async def _cancel(self, job: Row) -> None:
        """Cancel a job at once, or notify the lane that runs it."""
        if cancellation := self._cancellations.get(job.id):
            cancellation.set()
        else:
            with contextlib.suppress(JobStateError):  # it ended during the query
                await self._type.clean(await self._store.move(job.id, CANCELLED))

    async def _sweep(self) -> None:
        """Remove files that a server left when it died: of jobs that have ended, or were never created."""
        try:
            for folder in await asyncio.to_thread(self._type.unclean_folders):
                try:
                    job = await self._store.find(folder.name)
                except UnknownJobError:
                    if time.time() - folder.stat().st_mtime > _CREATION_SECONDS:
                        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                    continue
                if self._store.states.is_end(job.status):
                    await self._type.clean(job)
        except (OSError, StorageError) as error:
            logger.warning("job folders not swept", extra={"reason": str(error)})


async def _patiently(work: Coroutine[None, None, None]) -> None:
    """Do work that the loop repeats, and pause after an error of the disk or the database."""
    try:
        await work
    except (OSError, StorageError) as error:
        await pause_after(error)
