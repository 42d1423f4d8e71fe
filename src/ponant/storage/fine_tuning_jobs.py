"""Fine-tuning jobs, their events and their checkpoints."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from ponant.storage.database import Database
from ponant.storage.descriptions import FineTuningJobFilter
from ponant.storage.job_states import JobStates
from ponant.storage.jobs import JobStore, seconds_now
from ponant.storage.pages import read_page
from ponant.storage.tables import FineTunedModelRow, FineTuningCheckpointRow, FineTuningEventRow, FineTuningJobRow

FINE_TUNING_STATES = JobStates(
    first="QUEUED",
    after={
        "QUEUED": ("VALIDATING", "CANCELLED"),
        "VALIDATING": ("VALIDATED", "FAILED_VALIDATION", "FAILED", "CANCELLATION_REQUESTED"),
        "VALIDATED": ("STARTED", "CANCELLED"),
        "STARTED": ("RUNNING", "CANCELLED"),
        "RUNNING": ("SUCCESS", "FAILED", "CANCELLATION_REQUESTED"),
        "CANCELLATION_REQUESTED": ("CANCELLED",),
    },
)

_STATUS = "status-updated"
_PROGRESS = "progress"


class FineTuningJobStore(JobStore[FineTuningJobRow]):
    """Fine-tuning jobs of a database. Errors as of ``JobStore``."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, FineTuningJobRow, FINE_TUNING_STATES)

    async def page(
        self, wanted: FineTuningJobFilter, *, number: int, size: int
    ) -> tuple[Sequence[FineTuningJobRow], int]:
        """Return a page of jobs, the newest first, and the number of jobs on all pages.

        Args:
            wanted: conditions that the jobs meet.
            number: number of the page, from 0.
            size: jobs per page.
        """
        return await read_page(self._database, FineTuningJobRow, _conditions(wanted), number=number, size=size)

    async def history(self, id_: str) -> tuple[Sequence[FineTuningEventRow], Sequence[FineTuningCheckpointRow]]:
        """Return the events and the checkpoints of a job, the newest first."""
        event, checkpoint = FineTuningEventRow, FineTuningCheckpointRow
        events = select(event).where(event.job_id == id_).order_by(event.number.desc())
        checkpoints = select(checkpoint).where(checkpoint.job_id == id_).order_by(checkpoint.step_number.desc())
        return await self._database.read(
            lambda session: (session.scalars(events).all(), session.scalars(checkpoints).all())
        )

    async def finish(self, id_: str, model: FineTunedModelRow, trained_tokens: int) -> None:
        """Store the success of a job and its model. Raises JobStateError if the job is not running."""

        def write(session: Session) -> None:
            job = self._get(session, id_, writes=True)
            job.fine_tuned_model = model.id
            job.trained_tokens = trained_tokens
            self._advance(session, job, "SUCCESS")
            session.add(model)

        await self._database.write(write)

    async def note(self, id_: str, name: str, data: dict[str, Any]) -> None:
        """Add an event to a job."""
        event = FineTuningEventRow(job_id=id_, name=name, data=data, created_at=seconds_now())
        await self._database.write(lambda session: session.add(event))

    async def keep_progress(self, id_: str, data: dict[str, Any]) -> None:
        """Replace the one progress event of a job."""
        row = FineTuningEventRow
        statement = select(row).where(row.job_id == id_, row.name == _PROGRESS)

        def write(session: Session) -> None:
            event = session.scalar(statement)
            if event is None:
                session.add(row(job_id=id_, name=_PROGRESS, data=data, created_at=seconds_now()))
            else:
                event.data, event.created_at = data, seconds_now()

        await self._database.write(write)

    async def keep_checkpoint(self, checkpoint: FineTuningCheckpointRow) -> None:
        """Store a checkpoint, or replace the one of the same step, which a resumed job may reach again."""
        checkpoint.created_at = seconds_now()

        def write(session: Session) -> None:
            session.merge(checkpoint)

        await self._database.write(write)

    async def keep_integrations(self, id_: str, integrations: list[dict[str, Any]]) -> None:
        """Replace the integrations of a job."""

        def write(session: Session) -> None:
            self._get(session, id_, writes=True).integrations = integrations

        await self._database.write(write)

    def _log_state(self, session: Session, job: FineTuningJobRow, error: str | None) -> None:
        data = {"status": job.status} | ({"error": error} if error else {})
        session.add(FineTuningEventRow(job_id=job.id, name=_STATUS, data=data, created_at=job.modified_at))


def _conditions(wanted: FineTuningJobFilter) -> list[ColumnElement[bool]]:
    columns = {
        "model": FineTuningJobRow.model,
        "status": FineTuningJobRow.status,
        "suffix": FineTuningJobRow.suffix,
        "wandb_project": FineTuningJobRow.wandb_project,
        "wandb_name": FineTuningJobRow.wandb_name,
    }
    given = {name: getattr(wanted, name) for name in columns}
    # PostgreSQL rejects NUL, and no stored value contains one.
    conditions: list[ColumnElement[bool]] = [
        columns[name].in_([value] if "\0" not in value else []) for name, value in given.items() if value is not None
    ]
    if wanted.created_after is not None:
        conditions.append(FineTuningJobRow.created_at > wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(FineTuningJobRow.created_at < wanted.created_before)
    return conditions
