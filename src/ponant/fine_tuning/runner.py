"""Runs jobs, one after the other: a lane in which files are validated, and one in which models are trained."""

import asyncio
import contextlib
import fcntl
import logging
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ponant.catalog.catalog import Catalog
from ponant.fine_tuning.process import TrainerProcess
from ponant.fine_tuning.registry import ModelRegistry
from ponant.fine_tuning.runs import (
    CannotRunError,
    clean_run,
    name_of_result,
    plan_of,
    refresh_run,
    skipped_lines,
)
from ponant.storage.errors import JobStateError, StorageError, UnknownJobError
from ponant.storage.fine_tuning_jobs import ENDS, FineTuningJobStore
from ponant.storage.storage import Storage
from ponant.storage.tables import FineTunedModelRow, FineTuningCheckpointRow, FineTuningJobRow
from ponant.training.events import Checkpoint, Done, Event, Failed, Resumed, Stopped, Tracked, TrainingStep, Validated

logger = logging.getLogger("ponant.fine_tuning")

Outcome = Validated | Done | Failed | Stopped

_BETWEEN_LOOKS = 1.0
"""Seconds after which changes that other processes have made in the database are seen, while a job is worked on."""
_WHEN_IDLE = 5.0
"""The same while there is nothing to do."""
_BETWEEN_STEPS = 0.5
"""Seconds between two steps that are told."""
_AFTER_TROUBLE = 5.0
_SECONDS_TO_CANCEL = 3.0
_INVALID = ("invalid_dataset", "bad_seq_len")
"""Errors for which the job is to blame, not what came over it."""
_BEING_MADE = 3600.0
"""Seconds after which a folder that no job knows will not get one any more."""


@dataclass
class _Lane:
    """Works on jobs in one of two states, one at a time."""

    work: Callable[[FineTuningJobRow], Awaitable[None]]
    begun: str
    waiting: str
    is_busy: bool = False

    def choose(self, jobs: Sequence[FineTuningJobRow]) -> FineTuningJobRow | None:
        """The job to be worked on next: one already begun, or else the oldest."""
        return next((job for state in (self.begun, self.waiting) for job in jobs if job.status == state), None)


class Runner:
    """Runs the jobs of a data folder. Of several servers with the same one, one has a runner that does so.

    All that is known of jobs is in the database, so a server that starts goes on with what it finds there: files that
    were being validated are validated anew, and training goes on from its last checkpoint.
    """

    def __init__(
        self, catalog: Catalog, storage: Storage, registry: ModelRegistry, *, changed: asyncio.Event, nice: int
    ) -> None:
        """Run jobs.

        Args:
            catalog: has the models to be trained.
            storage: has the jobs, and gets what they make.
            registry: is told of new models.
            changed: is set when there may be something new to do.
            nice: how low the priority of training is.
        """
        self._catalog = catalog
        self._jobs = storage.fine_tuning_jobs
        self._registry = registry
        self._nice = nice
        self._folder = storage.fine_tuned.folder
        self._lanes = (
            _Lane(self._validate, begun="VALIDATING", waiting="QUEUED"),
            _Lane(self._train, begun="RUNNING", waiting="STARTED"),
        )
        self._at_work: dict[str, asyncio.Event] = {}
        """The jobs that are worked on, by id, and whether their cancellation was requested."""
        self._changed = changed

    async def run(self) -> None:
        """Run jobs until cancelled; then training processes end in good order, and their jobs stay as they are."""
        async with self._alone():
            await self._sweep()
            await self._catalog.wait_until_open()
            async with asyncio.TaskGroup() as working:
                while True:
                    self._changed.clear()  # before the look, which need not see what changes meanwhile
                    await self._patiently(self._look(working))
                    with contextlib.suppress(TimeoutError):  # Python 3.11's wait_for might miss that this is cancelled
                        async with asyncio.timeout(_BETWEEN_LOOKS if self._at_work else _WHEN_IDLE):
                            await self._changed.wait()

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Wait until no other process runs the jobs of this folder."""
        with await self._lock_file() as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_BETWEEN_LOOKS)
            yield

    async def _lock_file(self) -> TextIO:
        """The file to be locked. As long as it cannot be opened, such as while the disk is full, it is tried again."""
        while True:
            try:
                return await asyncio.to_thread(open_lock_file, self._folder)
            except OSError as error:
                logger.warning("jobs not looked after", extra={"reason": str(error)})
                await asyncio.sleep(_AFTER_TROUBLE)

    async def _look(self, working: asyncio.TaskGroup) -> None:
        """See what there is to do, with one query: give the free lanes their next jobs, and end what is cancelled."""
        free = [lane for lane in self._lanes if not lane.is_busy]  # a lane that becomes so later needs a later look
        wanted = [state for lane in free for state in (lane.begun, lane.waiting)]
        jobs = await self._jobs.in_states("CANCELLATION_REQUESTED", *wanted)
        for lane in free:
            if job := lane.choose([job for job in jobs if job.id not in self._at_work]):
                lane.is_busy = True
                self._at_work[job.id] = asyncio.Event()
                working.create_task(self._do(lane, job))
        for job in jobs:
            if job.status == "CANCELLATION_REQUESTED":
                await self._end(job)

    async def _do(self, lane: _Lane, job: FineTuningJobRow) -> None:
        """Work on a job, and free the lane."""
        try:
            await self._patiently(self._work(lane, job))
        finally:
            del self._at_work[job.id]
            lane.is_busy = False
            self._changed.set()

    async def _work(self, lane: _Lane, job: FineTuningJobRow) -> None:
        try:
            await lane.work(job)
        except JobStateError:
            logger.info("job cancelled meanwhile", extra={"job": job.id})
        except StorageError:
            raise
        except Exception:
            logger.exception("job failed", extra={"job": job.id})
            with contextlib.suppress(JobStateError):
                await self._fail(job, Failed("internal_error", "internal error; the server's log has more of it"))

    async def _end(self, job: FineTuningJobRow) -> None:
        """End a job whose cancellation was requested, or have whoever works on it do so."""
        if cancellation := self._at_work.get(job.id):
            cancellation.set()
        else:
            with contextlib.suppress(JobStateError):  # its work ended as the query was made
                await self._clean(await self._jobs.move(job.id, "CANCELLED"))

    @staticmethod
    async def _patiently(work: Coroutine[None, None, None]) -> None:
        """Do something that is done again if it fails as storage does: not at once then."""
        try:
            await work
        except (OSError, StorageError) as error:
            logger.warning("jobs not looked after", extra={"reason": str(error)})
            await asyncio.sleep(_AFTER_TROUBLE)

    async def _validate(self, job: FineTuningJobRow) -> None:
        if job.status == "QUEUED":
            await self._jobs.move(job.id, "VALIDATING")
        match await self._outcome(job, dry_run=True):
            case Validated() as validated:
                if skipped := skipped_lines(validated, job):
                    await self._jobs.note(job.id, "lines-skipped", {"files": skipped})
                ahead = await self._jobs.in_states("STARTED", "RUNNING")
                states = ("VALIDATED", "STARTED") if job.auto_start else ("VALIDATED",)
                await self._jobs.move(job.id, *states, plan=plan_of(validated, ahead))
            case Failed() as failed:
                await self._fail(job, failed, "FAILED_VALIDATION" if failed.error in _INVALID else "FAILED")

    async def _train(self, job: FineTuningJobRow) -> None:
        if job.status == "STARTED":
            await self._jobs.move(job.id, "RUNNING")
        logger.info("job running", extra={"job": job.id, "model": job.base})
        match await self._outcome(job, dry_run=False):
            case Done() as done:
                model = FineTunedModelRow(
                    id=name_of_result(job), job_id=job.id, base=job.base, root=job.model, archived=False
                )
                await self._registry.add(model, self._jobs.finish(job.id, model, done.trained_tokens))
                logger.info("job succeeded", extra={"job": job.id, "model": model.id})
                await asyncio.to_thread(clean_run, self._folder / job.id, keep_model=True)
            case Failed() as failed:
                await self._fail(job, failed)

    async def _outcome(self, job: FineTuningJobRow, *, dry_run: bool) -> Outcome:
        """How the process that works on a job ends."""
        folder = self._folder / job.id
        try:
            await asyncio.to_thread(refresh_run, folder, self._catalog, job.base)
        except CannotRunError as error:
            return Failed("cannot_run", str(error))
        teller = _Teller(self._jobs, job)
        while True:
            last: Event | None = None
            async with TrainerProcess.start(folder, nice=self._nice, dry_run=dry_run) as process:
                cancelling = asyncio.create_task(self._cancel(job.id, process))
                try:
                    async for event in process.events():
                        await teller.tell(event)
                        last = event
                finally:
                    cancelling.cancel()
                    await asyncio.gather(cancelling, return_exceptions=True)
            assert isinstance(last, Outcome)
            if not (isinstance(last, Failed) and last.error == "already_running"):
                return last
            await asyncio.sleep(_BETWEEN_LOOKS)  # a process of a server that died has not noticed it yet

    async def _cancel(self, job_id: str, process: TrainerProcess) -> None:
        """End the process when the job's cancellation is requested, or was while the process was being started."""
        await self._at_work[job_id].wait()
        await process.stop(_SECONDS_TO_CANCEL)

    async def _fail(self, job: FineTuningJobRow, failed: Failed, status: str = "FAILED") -> None:
        logger.warning("job failed", extra={"job": job.id, "error": failed.error, "reason": failed.message})
        await self._clean(await self._jobs.move(job.id, status, error=failed.message))

    async def _clean(self, job: FineTuningJobRow) -> None:
        folder = self._folder / job.id
        await asyncio.to_thread(clean_run, folder, keep_model=job.status == "SUCCESS")

    async def _sweep(self) -> None:
        """Remove what is left of jobs that came to an end, or never came to be, just before a server died."""
        try:
            for folder in await asyncio.to_thread(_job_folders, self._folder):
                try:
                    job = await self._jobs.find(folder.name)
                except UnknownJobError:
                    if time.time() - folder.stat().st_mtime > _BEING_MADE:
                        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                    continue
                if job.status in ENDS:
                    await self._clean(job)
        except (OSError, StorageError) as error:
            logger.warning("folders of jobs not swept", extra={"reason": str(error)})


def open_lock_file(folder: Path) -> TextIO:
    """The file that whoever runs the jobs of a folder holds a lock of. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / ".lock").open("w")


def _job_folders(folder: Path) -> list[Path]:
    """The folders of jobs that still have the description of a run, or the beginning of one."""
    return list({path.parent for name in ("run.json", "run.json.part") for path in folder.glob(f"*/{name}")})


class _Teller:
    """Keeps in the database what a process tells of its job."""

    def __init__(self, jobs: FineTuningJobStore, job: FineTuningJobRow) -> None:
        self._jobs = jobs
        self._job = job
        self._told = 0.0

    async def tell(self, event: Event) -> None:
        """Keep what is worth keeping of an event."""
        match event:
            case TrainingStep() if time.monotonic() - self._told >= _BETWEEN_STEPS or event.step == event.steps:
                self._told = time.monotonic()
                await self._jobs.keep_progress(
                    self._job.id,
                    {
                        "step": event.step,
                        "steps": event.steps,
                        "loss": event.loss,
                        "learning_rate": event.learning_rate,
                        "tokens_per_second": event.tokens_per_second,
                        "eta_seconds": event.eta_seconds,
                    },
                )
            case Checkpoint(step=step, metrics=metrics):
                await self._jobs.keep_checkpoint(
                    FineTuningCheckpointRow(
                        job_id=self._job.id,
                        step_number=step,
                        train_loss=metrics.train_loss,
                        valid_loss=metrics.valid_loss,
                        valid_mean_token_accuracy=metrics.valid_mean_token_accuracy,
                    )
                )
            case Tracked(url=url):
                integrations = [integration | {"url": url} for integration in self._job.integrations]
                await self._jobs.keep_integrations(self._job.id, integrations)
            case Resumed(step=step):
                await self._jobs.note(self._job.id, "resumed", {"step": step})
