"""Fine-tuning jobs, their events and their checkpoints."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, case, or_, select
from sqlalchemy.orm import Session

from ponant.storage.database import Database
from ponant.storage.descriptions import FineTuningJobFilter, Page
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

_QUEUED = "QUEUED"
_STATUS = "status-updated"
_PROGRESS = "progress"


def shown_status(job: FineTuningJobRow) -> str:
    """Return the status of a job in the API, whose clients wait for jobs that are ``QUEUED`` or ``RUNNING``.

    A job that continues by itself is queued until it is trained.
    """
    waits = job.status == "VALIDATING" or (job.status == "STARTED" and job.auto_start)
    return _QUEUED if waits else job.status


class FineTuningJobStore(JobStore[FineTuningJobRow]):
    """Fine-tuning jobs of a database. Errors as of ``JobStore``."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, FineTuningJobRow, FINE_TUNING_STATES)

    async def page(self, wanted: FineTuningJobFilter, page: Page) -> tuple[Sequence[FineTuningJobRow], int]:
        """Return a page of the jobs that meet conditions, and the number of jobs on all pages.

        Raises UnknownJobError if there is no job that the page comes after.
        """
        after = None if page.after is None else (await self.find(page.after)).number
        return await read_page(self._database, FineTuningJobRow, _conditions(wanted), page, after=after)

    async def history(self, id_: str) -> tuple[Sequence[FineTuningEventRow], Sequence[FineTuningCheckpointRow]]:
        """Return the events and the checkpoints of a job, the newest first."""
        event, checkpoint = FineTuningEventRow, FineTuningCheckpointRow
        events = select(event).where(event.job_id == id_).order_by(event.number.desc())
        checkpoints = select(checkpoint).where(checkpoint.job_id == id_).order_by(checkpoint.step_number.desc())
        return await self._database.read(
            lambda session: (session.scalars(events).all(), session.scalars(checkpoints).all())
        )

    async def latest(self, most: int) -> Sequence[tuple[FineTuningJobRow, dict[str, Any] | None]]:
        """Return the last jobs, the newest first, each with the data of its progress event if it has one."""
        job, event = FineTuningJobRow, FineTuningEventRow
        jobs = select(job).order_by(job.number.desc()).limit(most)

        def read(session: Session) -> Sequence[tuple[FineTuningJobRow, dict[str, Any] | None]]:
            rows = session.scalars(jobs).all()
            events = select(event).where(event.name == _PROGRESS, event.job_id.in_([row.id for row in rows]))
            progress = {found.job_id: found.data for found in session.scalars(events)}
            return [(row, progress.get(row.id)) for row in rows]

        return await self._database.read(read)

    async def start(self, id_: str) -> FineTuningJobRow:
        """Start a validated job, or let a job start once it is validated. Raises JobStateError in other states."""

        def write(session: Session) -> FineTuningJobRow:
            job = self._get(session, id_, writes=True)
            if job.status in (_QUEUED, "VALIDATING"):
                job.auto_start = True
            else:
                self._advance(session, job, "STARTED")
            return job

        return await self._database.write(write)

    async def keep_validated(
        self, id_: str, *, plan: dict[str, Any], hyperparameters: dict[str, Any], is_next: bool
    ) -> None:
        """Store the outcome of a validation, and start the job if it starts by itself.

        Args:
            id_: id of the job.
            plan: estimates.
            hyperparameters: values of hyperparameters that the job leaves open.
            is_next: True if no other job is trained or waits for that, so that the training begins at once.
        """

        def write(session: Session) -> None:
            job = self._get(session, id_, writes=True)
            given = {name: value for name, value in job.hyperparameters.items() if value is not None}
            job.plan, job.hyperparameters = plan, job.hyperparameters | hyperparameters | given
            self._advance(session, job, "VALIDATED")
            if job.auto_start:
                self._advance(session, job, "STARTED")
            if job.auto_start and is_next:
                self._advance(session, job, "RUNNING")

        await self._database.write(write)

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


_SHOWN_STATUS = case(
    (
        or_(
            FineTuningJobRow.status == "VALIDATING",
            and_(FineTuningJobRow.status == "STARTED", FineTuningJobRow.auto_start.is_(True)),
        ),
        _QUEUED,
    ),
    else_=FineTuningJobRow.status,
)
"""``shown_status`` as SQL."""


def _conditions(wanted: FineTuningJobFilter) -> list[ColumnElement[bool]]:
    columns: dict[str, Any] = {
        "model": FineTuningJobRow.model,
        "status": _SHOWN_STATUS,
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
