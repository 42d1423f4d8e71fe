"""Jobs of any kind: rows with a state."""

import time
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from ponant.storage.database import Database
from ponant.storage.errors import JobStateError, UnknownJobError
from ponant.storage.job_states import CANCELLATION_REQUESTED, CANCELLED, JobStates
from ponant.storage.tables import JobRow

Row = TypeVar("Row", bound=JobRow)


class JobStore(Generic[Row]):
    """Jobs of one table. Every method raises StorageError on failures, and UnknownJobError.

    Attributes:
        states: states of these jobs.
    """

    def __init__(self, database: Database, row: type[Row], states: JobStates) -> None:
        """Use a table.

        Args:
            database: the database with the table.
            row: class of the table's rows.
            states: states of these jobs.
        """
        self.states = states
        self._database = database
        self._row = row

    async def add(self, job: Row) -> None:
        """Add a job in the first state."""
        job.created_at = job.modified_at = seconds_now()
        job.status = self.states.first

        def write(session: Session) -> None:
            session.add(job)
            session.flush()
            self._log_state(session, job, None)

        await self._database.write(write)

    async def find(self, id_: str) -> Row:
        """Return a job."""
        return await self._database.read(lambda session: self._get(session, id_))

    async def in_states(self, *states: str) -> Sequence[Row]:
        """Return the jobs in some states, the oldest first."""
        statement = select(self._row).where(self._row.status.in_(states)).order_by(self._row.number)
        return await self._database.read(lambda session: session.scalars(statement).all())

    async def move(self, id_: str, *states: str, error: str | None = None, **changes: Any) -> Row:
        """Change the state of a job, once or several times, in one transaction.

        Args:
            id_: id of the job.
            states: the new states, in order.
            error: reason of a failure, for users.
            changes: new values of other columns.

        Raises:
            JobStateError: the first of the states cannot follow the state of the job.
        """

        def write(session: Session) -> Row:
            job = self._get(session, id_, writes=True)
            for name, value in changes.items():
                setattr(job, name, value)
            for state in states:
                self._advance(session, job, state, error)
            return job

        # Files of a cancelled job are deleted next.
        return await (self._database.free(write) if CANCELLED in states else self._database.write(write))

    async def cancel(self, id_: str) -> Row:
        """Cancel a job, or request it while a process works on the job. Raises JobStateError in a final state."""

        def write(session: Session) -> Row:
            job = self._get(session, id_, writes=True)
            if job.status != CANCELLATION_REQUESTED:
                self._advance(session, job, self.states.on_cancel(job.status))
            return job

        return await self._database.free(write)

    def _get(self, session: Session, id_: str, *, writes: bool = False) -> Row:
        """Return a job. With ``writes``, lock its row in PostgreSQL; SQLite locks the whole database anyway."""
        statement = select(self._row).where(self._row.id == id_)
        job = None if "\0" in id_ else session.scalar(statement.with_for_update() if writes else statement)
        if job is None:
            raise UnknownJobError(id_)
        return job

    def _advance(self, session: Session, job: Row, state: str, error: str | None = None) -> None:
        if not self.states.can_follow(job.status, state):
            raise JobStateError(f"job {job.id} is {job.status}")
        job.status = state
        job.modified_at = seconds_now()
        self._log_state(session, job, error)

    def _log_state(self, session: Session, job: Row, error: str | None) -> None:
        """Record a change of state in its transaction. Kinds of jobs with a history override this."""


def seconds_now() -> int:
    """Return the time in seconds since the epoch."""
    return int(time.time())
