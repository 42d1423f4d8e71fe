"""Fine-tuning as a kind of job."""

import asyncio
import logging
import time
from pathlib import Path

from ponant.catalog.catalog import Catalog
from ponant.fine_tuning.process import HUNG, TrainerProcess
from ponant.fine_tuning.recorder import JobRecorder
from ponant.fine_tuning.registry import ModelRegistry
from ponant.fine_tuning.runs import (
    CannotRunError,
    clean_run,
    name_of_result,
    plan_of,
    planned_hyperparameters,
    refresh_run,
    skipped_lines,
    unclean_folders,
)
from ponant.jobs.lane import Lane
from ponant.private_files import without_folders
from ponant.storage.storage import Storage
from ponant.storage.tables import FineTunedModelRow, FineTuningJobRow
from ponant.training.events import Done, Event, Failed, Stopped, Validated

logger = logging.getLogger("ponant.fine_tuning")

Outcome = Validated | Done | Failed | Stopped

_BUSY_SECONDS = 1.0
"""Seconds between two attempts to run a job while the process of an earlier server still works on it."""
_CANCEL_SECONDS = 3.0
_MOST_HUNG = 3
"""Processes of a job that may hang. The last one fails the job."""
_INVALID = ("invalid_dataset", "bad_seq_len")
"""Errors for which the job is to blame."""


class FineTuningJobType:
    """Fine-tuning jobs for ``ponant.jobs.runner.Runner``: one lane validates files, the other trains models.

    An interrupted validation starts again; an interrupted training resumes from its last checkpoint.

    Attributes:
        store: table of the jobs.
        folder: has one folder per job, named by job id.
        lanes: validation and training.
    """

    def __init__(self, catalog: Catalog, storage: Storage, registry: ModelRegistry, *, nice: int) -> None:
        """Use the jobs of a storage.

        Args:
            catalog: has the base models.
            storage: has the jobs and their files.
            registry: receives the new models.
            nice: value by which the priority of training processes is lowered, 0 to 19.
        """
        self.store = storage.fine_tuning_jobs
        self.folder = storage.fine_tuned.folder
        self.lanes = (
            Lane(waiting="QUEUED", begun="VALIDATING", work=self._validate),
            Lane(waiting="STARTED", begun="RUNNING", work=self._train),
        )
        self._catalog = catalog
        self._registry = registry
        self._nice = nice

    async def prepare(self) -> None:
        """Wait until the catalog is open."""
        await self._catalog.wait_until_open()

    async def fail(self, job: FineTuningJobRow, error: str, message: str, *, state: str = "FAILED") -> None:
        """Mark a job as failed with a state, and clean it. Arguments and errors as of ``JobType``."""
        logger.warning("job failed", extra={"job": job.id, "error": error, "reason": message})
        await self.clean(await self.store.move(job.id, state, error=without_folders(message)))

    async def clean(self, job: FineTuningJobRow) -> None:
        """Remove the files that a job in a final state no longer needs."""
        await asyncio.to_thread(clean_run, self.folder / job.id, keep_model=job.status == "SUCCESS")

    def unclean_folders(self) -> list[Path]:
        """Return the folders, named by job id, that have not been cleaned. Blocks."""
        return unclean_folders(self.folder)

    async def _validate(self, job: FineTuningJobRow, cancelled: asyncio.Event) -> None:
        if job.status == "QUEUED":
            await self.store.move(job.id, "VALIDATING")
        match await self._outcome(job, cancelled, dry_run=True):
            case Validated() as validated:
                if skipped := skipped_lines(validated, job):
                    await self.store.note(job.id, "lines-skipped", {"files": skipped})
                ahead = await self.store.in_states("STARTED", "RUNNING")
                await self.store.keep_validated(
                    job.id,
                    plan=plan_of(validated, ahead),
                    hyperparameters=planned_hyperparameters(validated),
                    is_next=not ahead,
                )
            case Failed(error=error, message=message):
                state = "FAILED_VALIDATION" if error in _INVALID else "FAILED"
                await self.fail(job, error, message, state=state)

    async def _train(self, job: FineTuningJobRow, cancelled: asyncio.Event) -> None:
        if job.status == "STARTED":
            await self.store.move(job.id, "RUNNING")
        logger.info("job running", extra={"job": job.id, "model": job.base})
        match await self._outcome(job, cancelled, dry_run=False):
            case Done(trained_tokens=trained_tokens):
                await self._succeed(job, trained_tokens)
            case Failed(error=error, message=message):
                await self.fail(job, error, message)

    async def _succeed(self, job: FineTuningJobRow, trained_tokens: int) -> None:
        model = FineTunedModelRow(
            id=name_of_result(job),
            job_id=job.id,
            base=job.base,
            root=job.model,
            archived=False,
            created_at=int(time.time()),
        )
        await self._registry.add(model, self.store.finish(job.id, model, trained_tokens))
        logger.info("job succeeded", extra={"job": job.id, "model": model.id})
        await asyncio.to_thread(clean_run, self.folder / job.id, keep_model=True)

    async def _outcome(self, job: FineTuningJobRow, cancelled: asyncio.Event, *, dry_run: bool) -> Outcome:
        """Run the process that works on a job, and return its last event."""
        folder = self.folder / job.id
        try:
            await asyncio.to_thread(refresh_run, folder, self._catalog, job.base)
        except CannotRunError as error:
            return Failed("cannot_run", str(error))
        recorder = JobRecorder(self.store, job)
        hung = 0
        while True:
            last = await self._run_process(folder, recorder, cancelled, dry_run=dry_run)
            fault = last.error if isinstance(last, Failed) else None
            hung += fault == HUNG
            if fault == "already_running":
                await asyncio.sleep(_BUSY_SECONDS)  # the process of another server
            elif fault != HUNG or hung == _MOST_HUNG:
                return last
            else:
                logger.warning("training process replaced, as it was hung", extra={"job": job.id})

    async def _run_process(
        self, folder: Path, recorder: JobRecorder, cancelled: asyncio.Event, *, dry_run: bool
    ) -> Outcome:
        last: Event | None = None
        async with TrainerProcess.start(folder, nice=self._nice, dry_run=dry_run) as process:
            cancelling = asyncio.create_task(_stop_when(cancelled, process))
            try:
                async for event in process.events():
                    await recorder.record(event)
                    last = event
            finally:
                cancelling.cancel()
                await asyncio.gather(cancelling, return_exceptions=True)
        assert isinstance(last, Outcome)
        return last


async def _stop_when(cancelled: asyncio.Event, process: TrainerProcess) -> None:
    """Stop a process when the cancellation of its job is requested, or was before the process started."""
    await cancelled.wait()
    await process.stop(_CANCEL_SECONDS)
