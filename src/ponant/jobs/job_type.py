"""The interface between a kind of job and the runner."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ponant.jobs.lane import Lane
from ponant.storage.jobs import JobStore, Row


class JobType(Protocol[Row]):
    """A kind of job: its table, its lanes and its files.

    To add a kind of job, add its table and store to ``ponant.storage``, implement this protocol in a package above
    ``ponant.jobs``, and start a ``Runner`` for it in ``ponant.server.wiring``.
    """

    @property
    def store(self) -> JobStore[Row]:
        """Table of the jobs, with their states."""
        ...

    @property
    def folder(self) -> Path:
        """Folder of the jobs' files. The runner holds its lock."""
        ...

    @property
    def lanes(self) -> Sequence[Lane[Row]]:
        """Lanes of the runner."""
        ...

    async def prepare(self) -> None:
        """Wait until jobs can run."""
        ...

    async def fail(self, job: Row, error: str, message: str) -> None:
        """Mark a job as failed, and clean it.

        Args:
            job: the job.
            error: kind of the error, for the log.
            message: reason, for users.

        Raises:
            JobStateError: the job was cancelled meanwhile.
            StorageError: the database fails.
        """
        ...

    async def clean(self, job: Row) -> None:
        """Remove the files that a job in a final state no longer needs."""
        ...

    def unclean_folders(self) -> list[Path]:
        """Return the folders, named by job id, that have not been cleaned. Blocks. Raises OSError."""
        ...
