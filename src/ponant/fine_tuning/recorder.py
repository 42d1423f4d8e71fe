"""Storage of a training process's events."""

import time

from ponant.storage.fine_tuning_jobs import FineTuningJobStore
from ponant.storage.tables import FineTuningCheckpointRow, FineTuningJobRow
from ponant.training.events import Checkpoint, Event, Resumed, Tracked, TrainingStep

_STEP_SECONDS = 0.5
"""Minimum seconds between two stored steps."""


class JobRecorder:
    """Stores the events of one job's process in the database."""

    def __init__(self, jobs: FineTuningJobStore, job: FineTuningJobRow) -> None:
        self._jobs = jobs
        self._job = job
        self._last_step = 0.0

    async def record(self, event: Event) -> None:
        """Store an event if the API shows it. Raises StorageError."""
        match event:
            case TrainingStep() if time.monotonic() - self._last_step >= _STEP_SECONDS or event.step == event.steps:
                self._last_step = time.monotonic()
                await self._keep_progress(event)
            case Checkpoint():
                await self._keep_checkpoint(event)
            case Tracked(url=url):
                integrations = [integration | {"url": url} for integration in self._job.integrations]
                await self._jobs.keep_integrations(self._job.id, integrations)
            case Resumed(step=step):
                await self._jobs.note(self._job.id, "resumed", {"step": step})

    async def _keep_progress(self, event: TrainingStep) -> None:
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

    async def _keep_checkpoint(self, event: Checkpoint) -> None:
        await self._jobs.keep_checkpoint(
            FineTuningCheckpointRow(
                job_id=self._job.id,
                step_number=event.step,
                train_loss=event.metrics.train_loss,
                valid_loss=event.metrics.valid_loss,
                valid_mean_token_accuracy=event.metrics.valid_mean_token_accuracy,
            )
        )
