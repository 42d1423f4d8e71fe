"""The interface of one kind of job to the runner."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ponant.jobs.lane import Lane
from ponant.storage.jobs import JobStore, Row


class JobType(Protocol[Row]):
    """One kind of job: its table, its lanes, and the files that its jobs leave behind."""

    @property
    def store(self) -> JobStore[Row]:
        """The table of the jobs, with their states."""
        ...

    @property
    def folder(self) -> Path:
        """Folder of the jobs' files. Its lock is held while the jobs are run."""
        ...

    @property
    def lanes(self) -> Sequence[Lane[Row]]:
        """The lanes, which run independently of each other."""
        ...

    async def prepare(self) -> None:
        """Wait until jobs can be run."""
        ...

    async def fail(self, job: Row, error: str, message: str) -> None:
        """Bring a job into its state of failure, and clean it.

        Args:
            job: the job.
            error: kind of the error, one word.
            message: reason, for users.

        Raises:
            JobStateError: the job was cancelled meanwhile.
            StorageError: the database fails.
        """
        ...

    async def clean(self, job: Row) -> None:
        """Remove the files that a job at its end no longer needs."""
        ...

    def unclean_folders(self) -> list[Path]:
        """Return the folders of jobs that have not been cleaned, named by the jobs' ids. Blocks. Raises OSError."""
        ...
