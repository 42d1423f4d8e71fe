"""Jobs and files in the storage, read at most once a second however many pages show them."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ponant.storage.errors import StorageError
from ponant.storage.lazy import LazyStorage

if TYPE_CHECKING:
    from ponant.storage.storage import Storage
    from ponant.storage.tables import FineTuningJobRow

_FRESH_SECONDS = 0.9
"""Age up to which a snapshot is used again."""
_LONGEST_WAIT = 1.0
"""Most seconds for a read, after which the snapshot before it is used."""
_MOST_JOBS = 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Jobs and files of a moment.

    Attributes:
        jobs: the last jobs, the newest first, each with the data of its progress event.
        file_count: number of files.
        file_bytes: bytes of all files.
    """

    jobs: "Sequence[tuple[FineTuningJobRow, dict[str, Any] | None]]" = ()
    file_count: int = 0
    file_bytes: int = 0


class StoredState:
    """Snapshots of a storage."""

    def __init__(self, storage: LazyStorage) -> None:
        self._storage = storage
        self._latest: Snapshot | None = Snapshot()
        self._read_at = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def snapshot(self) -> Snapshot | None:
        """Return the state of the storage, without jobs and files before its first use; None if it cannot be read."""
        storage = self._storage.opened
        if storage is None:
            return Snapshot()
        if self._reading is None and time.monotonic() - self._read_at >= _FRESH_SECONDS:
            self._reading = asyncio.create_task(self._read(storage))
        if self._reading:
            await asyncio.wait({self._reading}, timeout=_LONGEST_WAIT)
        return self._latest

    async def close(self) -> None:
        """Wait for the end of a read."""
        if self._reading:
            await self._reading

    async def _read(self, storage: "Storage") -> None:
        try:
            jobs = await storage.fine_tuning_jobs.latest(_MOST_JOBS)
            self._latest = Snapshot(jobs, *await storage.files.totals())
        except StorageError:
            self._latest = None
        finally:
            self._reading = None
            self._read_at = time.monotonic()
