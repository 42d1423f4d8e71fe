"""Fine-tuning jobs: what is known of each, and the states that they go through."""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from ponant.storage.database import Database
from ponant.storage.descriptions import FineTuningJobFilter
from ponant.storage.errors import JobStateError, UnknownJobError
from ponant.storage.tables import FineTunedModelRow, FineTuningCheckpointRow, FineTuningEventRow, FineTuningJobRow

_AFTER: Mapping[str, Collection[str]] = {
    "QUEUED": ("VALIDATING", "CANCELLED"),
    "VALIDATING": ("VALIDATED", "FAILED_VALIDATION", "FAILED", "CANCELLATION_REQUESTED"),
    "VALIDATED": ("STARTED", "CANCELLED"),
    "STARTED": ("RUNNING", "CANCELLED"),
    "RUNNING": ("SUCCESS", "FAILED", "CANCELLATION_REQUESTED"),
    "CANCELLATION_REQUESTED": ("CANCELLED",),
}
"""What can follow each state."""

ENDS = ("SUCCESS", "FAILED", "FAILED_VALIDATION", "CANCELLED")
"""The states that nothing follows."""

_STATUS = "status-updated"
_PROGRESS = "progress"


class FineTuningJobStore:
    """The jobs of a database. Every method raises StorageError where that fails, and UnknownJobError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, job: FineTuningJobRow) -> None:
        """Keep a new job, which is ``QUEUED`` from now on."""
        job.created_at = job.modified_at = _now()
        job.status = "QUEUED"

        def write(session: Session) -> None:
            session.add(job)
            session.flush()
            session.add(_status_event(job))

        await self._database.write(write)

    async def find(self, id_: str) -> FineTuningJobRow:
        """A job."""
        return await self._database.read(lambda session: _get(session, id_))

    async def history(self, id_: str) -> tuple[Sequence[FineTuningEventRow], Sequence[FineTuningCheckpointRow]]:
        """What happened to a job, and what it had reached when; the newest first."""
        events = (
            select(FineTuningEventRow)
            .where(FineTuningEventRow.job_id == id_)
            .order_by(FineTuningEventRow.number.desc())
        )
        reached = (
            select(FineTuningCheckpointRow)
            .where(FineTuningCheckpointRow.job_id == id_)
            .order_by(FineTuningCheckpointRow.step_number.desc())
        )
        return await self._database.read(
            lambda session: (session.scalars(events).all(), session.scalars(reached).all())
        )

    async def page(
        self, wanted: FineTuningJobFilter, *, number: int, size: int
    ) -> tuple[Sequence[FineTuningJobRow], int]:
        """A page of the jobs that are wanted, the newest first, and how many there are on all pages.

        Args:
            wanted: which jobs.
            number: of the page, from 0 on.
            size: jobs on a page.
        """
        conditions = _conditions(wanted)
        rows = select(FineTuningJobRow).where(*conditions).order_by(FineTuningJobRow.number.desc())
        count = select(func.count()).select_from(FineTuningJobRow).where(*conditions)

        def read(session: Session) -> tuple[Sequence[FineTuningJobRow], int]:
            total = session.scalar(count) or 0
            if number * size >= total:
                return [], total
            return session.scalars(rows.offset(number * size).limit(size)).all(), total

        return await self._database.read(read)

    async def in_states(self, *states: str) -> Sequence[FineTuningJobRow]:
        """The jobs in some states, the oldest first."""
        statement = (
            select(FineTuningJobRow).where(FineTuningJobRow.status.in_(states)).order_by(FineTuningJobRow.number)
        )
        return await self._database.read(lambda session: session.scalars(statement).all())

    async def move(self, id_: str, *states: str, error: str | None = None, **changes: Any) -> FineTuningJobRow:
        """Bring a job into a state, or through several, all in one.

        Args:
            id_: the job's.
            states: one after the other.
            error: why it failed, for users.
            changes: of other attributes.

        Raises:
            JobStateError: the first of the states cannot follow the one that the job is in.
        """

        def write(session: Session) -> FineTuningJobRow:
            job = _get(session, id_, writes=True)
            for name, value in changes.items():
                setattr(job, name, value)
            for state in states:
                _advance(session, job, state, error)
            return job

        return await self._database.write(write)

    async def cancel(self, id_: str) -> FineTuningJobRow:
        """Cancel a job, or if a process is at work on it, ask for that. Raises JobStateError if it is at an end."""

        def write(session: Session) -> FineTuningJobRow:
            job = _get(session, id_, writes=True)
            if job.status != "CANCELLATION_REQUESTED":
                ends = "CANCELLED" in _AFTER.get(job.status, ())
                _advance(session, job, "CANCELLED" if ends else "CANCELLATION_REQUESTED")
            return job

        return await self._database.write(write)

    async def finish(self, id_: str, model: FineTunedModelRow, trained_tokens: int) -> None:
        """Keep what a job made, and that it has succeeded. Raises JobStateError if it is not running."""

        def write(session: Session) -> None:
            job = _get(session, id_, writes=True)
            job.fine_tuned_model = model.id
            job.trained_tokens = trained_tokens
            _advance(session, job, "SUCCESS")
            model.created_at = job.modified_at
            session.add(model)

        await self._database.write(write)

    async def note(self, id_: str, name: str, data: dict[str, Any]) -> None:
        """Keep something that happened to a job."""
        event = FineTuningEventRow(job_id=id_, name=name, data=data, created_at=_now())
        await self._database.write(lambda session: session.add(event))

    async def keep_progress(self, id_: str, data: dict[str, Any]) -> None:
        """Renew the one event that says how far a job is."""
        statement = select(FineTuningEventRow).where(
            FineTuningEventRow.job_id == id_, FineTuningEventRow.name == _PROGRESS
        )

        def write(session: Session) -> None:
            event = session.scalar(statement)
            if event is None:
                session.add(FineTuningEventRow(job_id=id_, name=_PROGRESS, data=data, created_at=_now()))
            else:
                event.data, event.created_at = data, _now()

        await self._database.write(write)

    async def keep_checkpoint(self, checkpoint: FineTuningCheckpointRow) -> None:
        """Keep what a job has reached. A job that is resumed may reach the same step once more."""
        checkpoint.created_at = _now()

        def write(session: Session) -> None:
            session.merge(checkpoint)

        await self._database.write(write)

    async def keep_integrations(self, id_: str, integrations: list[dict[str, Any]]) -> None:
        """Renew what is told of a job's integrations."""

        def write(session: Session) -> None:
            _get(session, id_, writes=True).integrations = integrations

        await self._database.write(write)


def _get(session: Session, id_: str, *, writes: bool = False) -> FineTuningJobRow:
    """A job; one that ``writes`` has PostgreSQL keep other transactions from it, as SQLite does anyway."""
    statement = select(FineTuningJobRow).where(FineTuningJobRow.id == id_)
    job = None if "\0" in id_ else session.scalar(statement.with_for_update() if writes else statement)
    if job is None:
        raise UnknownJobError(id_)
    return job


def _advance(session: Session, job: FineTuningJobRow, state: str, error: str | None = None) -> None:
    if state not in _AFTER.get(job.status, ()):
        raise JobStateError(f"job {job.id} is {job.status}")
    job.status = state
    job.modified_at = _now()
    session.add(_status_event(job, error))


def _status_event(job: FineTuningJobRow, error: str | None = None) -> FineTuningEventRow:
    data = {"status": job.status} | ({"error": error} if error else {})
    return FineTuningEventRow(job_id=job.id, name=_STATUS, data=data, created_at=job.modified_at)


def _conditions(wanted: FineTuningJobFilter) -> list[ColumnElement[bool]]:
    columns = {
        "model": FineTuningJobRow.model,
        "status": FineTuningJobRow.status,
        "suffix": FineTuningJobRow.suffix,
        "wandb_project": FineTuningJobRow.wandb_project,
        "wandb_name": FineTuningJobRow.wandb_name,
    }
    given = {name: getattr(wanted, name) for name in columns}
    # PostgreSQL takes no NUL, and nothing that is kept has one.
    conditions: list[ColumnElement[bool]] = [
        columns[name].in_([value] if "\0" not in value else []) for name, value in given.items() if value is not None
    ]
    if wanted.created_after is not None:
        conditions.append(FineTuningJobRow.created_at > wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(FineTuningJobRow.created_at < wanted.created_before)
    return conditions


def _now() -> int:
    return int(time.time())
