"""Runs jobs, one after the other: a lane in which files are validated, and one in which models are trained."""

import asyncio
import contextlib
import fcntl
import logging
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

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
from ponant.storage.jobs import ENDS, JobStore
from ponant.storage.storage import Storage
from ponant.storage.tables import FineTunedModel, FineTuningJob, JobCheckpoint
from ponant.training.progress import Checkpoint, Done, Event, Failed, Resumed, Step, Stopped, Tracked, Validated

logger = logging.getLogger("ponant.fine_tuning")

Outcome = Validated | Done | Failed | Stopped

_BETWEEN_LOOKS = 1.0
"""Seconds after which changes that other processes have made in the database are seen."""
_BETWEEN_STEPS = 0.5
"""Seconds between two steps that are told."""
_AFTER_TROUBLE = 5.0
_SECONDS_TO_CANCEL = 3.0
_INVALID = ("invalid_dataset", "bad_seq_len")
"""Errors for which the job is to blame, not what came over it."""
_BEING_MADE = 3600.0
"""Seconds after which a folder that no job knows will not get one any more."""


class Runner:
    """Runs the jobs of a data folder. Of several servers with the same one, one has a runner that does so.

    All that is known of jobs is in the database, so a server that starts goes on with what it finds there: files that
    were being validated are validated anew, and training goes on from its last checkpoint.
    """

    def __init__(self, catalog: Catalog, storage: Storage, registry: ModelRegistry, *, nice: int) -> None:
        """Run jobs.

        Args:
            catalog: has the models to be trained.
            storage: has the jobs, and gets what they make.
            registry: is told of new models.
            nice: how low the priority of training is.
        """
        self._catalog = catalog
        self._jobs = storage.jobs
        self._registry = registry
        self._nice = nice
        self._folder = storage.fine_tuned.folder
        self._at_work: set[str] = set()
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Look at the jobs: something has changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Run jobs until cancelled; then training processes end in good order, and their jobs stay as they are."""
        async with self._alone():
            await self._sweep()
            async with asyncio.TaskGroup() as lanes:
                lanes.create_task(self._lane(self._validate, "VALIDATING", "QUEUED"))
                lanes.create_task(self._lane(self._train, "RUNNING", "STARTED"))

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Wait until no other process runs the jobs of this folder."""
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_BETWEEN_LOOKS)
            yield

    async def _lane(self, work: Callable[[FineTuningJob], Awaitable[None]], begun: str, waiting: str) -> None:
        """Work on jobs in one of two states, one at a time: those already begun first, then the oldest."""
        while True:
            if not self._catalog.is_open:
                await self._pause(_BETWEEN_LOOKS / 10)
                continue
            try:
                await self._end_cancelled()
                jobs = await self._jobs.in_states(begun) or await self._jobs.in_states(waiting)
                if jobs:
                    await self._do(work, jobs[0])
                else:
                    await self._pause(_BETWEEN_LOOKS)
            except (OSError, StorageError) as error:
                logger.warning("jobs not looked after", extra={"reason": str(error)})
                await asyncio.sleep(_AFTER_TROUBLE)

    async def _do(self, work: Callable[[FineTuningJob], Awaitable[None]], job: FineTuningJob) -> None:
        self._at_work.add(job.id)
        try:
            await work(job)
        except JobStateError:
            logger.info("job cancelled meanwhile", extra={"job": job.id})
        except StorageError:
            raise
        except Exception:
            logger.exception("job failed", extra={"job": job.id})
            with contextlib.suppress(JobStateError):
                await self._fail(job, Failed("internal_error", "internal error; the server's log has more of it"))
        finally:
            self._at_work.discard(job.id)

    async def _end_cancelled(self) -> None:
        """End the jobs whose cancellation was requested and that no process works on any more."""
        for job in await self._jobs.in_states("CANCELLATION_REQUESTED"):
            if job.id not in self._at_work:
                with contextlib.suppress(JobStateError):  # the other lane was quicker
                    await self._clean(await self._jobs.move(job.id, "CANCELLED"))

    async def _validate(self, job: FineTuningJob) -> None:
        if job.status == "QUEUED":
            await self._jobs.move(job.id, "VALIDATING")
        match await self._outcome(job, dry_run=True):
            case Validated() as validated:
                if skipped := skipped_lines(validated, job):
                    await self._jobs.note(job.id, "lines-skipped", {"files": skipped})
                ahead = await self._jobs.in_states("STARTED", "RUNNING")
                states = ("VALIDATED", "STARTED") if job.auto_start else ("VALIDATED",)
                await self._jobs.move(job.id, *states, plan=plan_of(validated, ahead))
                self.wake()
            case Failed() as failed:
                await self._fail(job, failed, "FAILED_VALIDATION" if failed.error in _INVALID else "FAILED")

    async def _train(self, job: FineTuningJob) -> None:
        if job.status == "STARTED":
            await self._jobs.move(job.id, "RUNNING")
        logger.info("job running", extra={"job": job.id, "model": job.base})
        match await self._outcome(job, dry_run=False):
            case Done() as done:
                model = FineTunedModel(
                    id=name_of_result(job), job_id=job.id, base=job.base, root=job.model, archived=False
                )
                await self._registry.add(model, self._jobs.finish(job.id, model, done.trained_tokens))
                logger.info("job succeeded", extra={"job": job.id, "model": model.id})
                await asyncio.to_thread(clean_run, self._folder / job.id, keep_model=True)
            case Failed() as failed:
                await self._fail(job, failed)

    async def _outcome(self, job: FineTuningJob, *, dry_run: bool) -> Outcome:
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
                watching = asyncio.create_task(self._watch(job.id, process))
                try:
                    async for event in process.events():
                        await teller.tell(event)
                        last = event
                finally:
                    watching.cancel()
                    await asyncio.gather(watching, return_exceptions=True)
            assert isinstance(last, Outcome)
            if not (isinstance(last, Failed) and last.error == "already_running"):
                return last
            await asyncio.sleep(_BETWEEN_LOOKS)  # a process of a server that died has not noticed it yet

    async def _watch(self, job_id: str, process: TrainerProcess) -> None:
        """End the process when the job's cancellation is requested, or was while the process was being started."""
        while True:
            with contextlib.suppress(StorageError):
                if (await self._jobs.find(job_id)).status in ("CANCELLATION_REQUESTED", *ENDS):
                    await process.stop(_SECONDS_TO_CANCEL)
                    return
            await self._pause(_BETWEEN_LOOKS)

    async def _fail(self, job: FineTuningJob, failed: Failed, status: str = "FAILED") -> None:
        logger.warning("job failed", extra={"job": job.id, "error": failed.error, "reason": failed.message})
        await self._clean(await self._jobs.move(job.id, status, error=failed.message))

    async def _clean(self, job: FineTuningJob) -> None:
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

    async def _pause(self, seconds: float) -> None:
        """Wait until something has changed, or this long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)


def _job_folders(folder: Path) -> list[Path]:
    """The folders of jobs that still have the description of a run, or the beginning of one."""
    return list({path.parent for name in ("run.json", "run.json.part") for path in folder.glob(f"*/{name}")})


class _Teller:
    """Keeps in the database what a process tells of its job."""

    def __init__(self, jobs: JobStore, job: FineTuningJob) -> None:
        self._jobs = jobs
        self._job = job
        self._told = 0.0

    async def tell(self, event: Event) -> None:
        """Keep what is worth keeping of an event."""
        match event:
            case Step() if time.monotonic() - self._told >= _BETWEEN_STEPS or event.step == event.steps:
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
                    JobCheckpoint(
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
