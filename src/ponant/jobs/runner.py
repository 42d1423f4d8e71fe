"""The runner of jobs: looks for jobs, runs them in lanes, ends those that are cancelled."""

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
"""Seconds between two looks at the database, which other processes may change, while jobs run."""
_IDLE_POLL_SECONDS = 5.0
"""The same while no job runs."""
_CREATION_SECONDS = 3600.0
"""Age from which a folder without a job in the database is not one of a job that is just being created."""


class Runner(Generic[Row]):
    """Runs the jobs of one kind. Of several processes with the same folder, one runs them.

    The state of jobs is in the database alone, so a new process resumes the jobs that an earlier one has begun.
    """

    def __init__(self, job_type: JobType[Row], *, changed: asyncio.Event) -> None:
        """Run jobs.

        Args:
            job_type: the kind of jobs.
            changed: set by others to have the database looked at now.
        """
        self._type = job_type
        self._store = job_type.store
        self._changed = changed
        self._cancellations: dict[str, asyncio.Event] = {}
        """By the ids of the jobs that run; set when the cancellation of the job is requested."""

    async def run(self) -> None:
        """Run jobs until cancelled; then the work on jobs is cancelled, and the jobs keep their states."""
        async with folder_lock(self._type.folder):
            await self._sweep()
            await self._type.prepare()
            async with asyncio.TaskGroup() as working:
                while True:
                    self._changed.clear()  # before the look, which may miss what changes meanwhile
                    await _patiently(self._look(working))
                    with contextlib.suppress(TimeoutError):  # Python 3.11's wait_for can miss a cancellation
                        async with asyncio.timeout(_POLL_SECONDS if self._cancellations else _IDLE_POLL_SECONDS):
                            await self._changed.wait()

    async def _look(self, working: asyncio.TaskGroup) -> None:
        """Give free lanes their next jobs, and end cancelled jobs, with one query."""
        free = [lane for lane in self._type.lanes if not lane.is_busy]  # those of the query: others may get free now
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
        """Run a job, and free the lane."""
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
            logger.info("job cancelled meanwhile", extra={"job": job.id})
        except StorageError:
            raise
        except Exception:
            logger.exception("job failed", extra={"job": job.id})
            with contextlib.suppress(JobStateError):
                await self._type.fail(job, "internal_error", "internal error; the server's log has more of it")

    async def _cancel(self, job: Row) -> None:
        """End a job whose cancellation is requested, or notify the work on it."""
        if cancellation := self._cancellations.get(job.id):
            cancellation.set()
        else:
            with contextlib.suppress(JobStateError):  # its work ended during the query
                await self._type.clean(await self._store.move(job.id, CANCELLED))

    async def _sweep(self) -> None:
        """Remove the files of jobs that ended, or were never created, just before a process died."""
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
            logger.warning("folders of jobs not swept", extra={"reason": str(error)})


async def _patiently(work: Coroutine[None, None, None]) -> None:
    """Do work that is repeated after an error of the disk or the database, and wait after such an error."""
    try:
        await work
    except (OSError, StorageError) as error:
        await pause_after(error)
