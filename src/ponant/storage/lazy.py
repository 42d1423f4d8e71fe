"""Storage that is opened on its first use.

Opening takes 0.5 s of CPU time and 32 MiB, and many servers never store anything.
"""

import asyncio
import contextlib
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ponant.storage.errors import StorageError
from ponant.storage.location import has_storage, make_data_dir
from ponant.storage.threads import in_writing_thread

if TYPE_CHECKING:
    from ponant.storage.storage import Storage

logger = logging.getLogger("ponant.storage")

_POLL_SECONDS = 2.0
"""Seconds between two checks for files that another server has stored in the same folder."""


class LazyStorage:
    """The storage of a folder, opened once."""

    def __init__(self, data_dir: Path, database_url: str | None = None) -> None:
        """Use a folder; create it if necessary. Arguments as of ``Storage.open``.

        Raises:
            StorageError: the folder cannot be created, or it is not writable.
        """
        self._data_dir = data_dir
        self._database_url = database_url
        self._storage: Storage | None = None
        self._lock = threading.Lock()
        self._opening: asyncio.Task[Storage] | None = None
        self._opened = asyncio.Event()
        self._closed = False
        make_data_dir(data_dir)
        if not os.access(data_dir, os.W_OK | os.X_OK):
            raise StorageError(f"cannot write in data_dir {data_dir}; give another --data-dir")

    @property
    def in_use(self) -> bool:
        """True if this server or another one has stored something in the folder."""
        return self._storage is not None or has_storage(self._data_dir, self._database_url)

    @property
    def opened(self) -> "Storage | None":
        """The storage; None before its first use."""
        return self._storage

    def open_now(self) -> "Storage":
        """Return the storage. Blocks. Raises StorageError if it cannot be opened; the next call tries again."""
        with self._lock:
            if self._storage is None:
                from ponant.storage.storage import Storage

                storage = Storage.open(self._data_dir, self._database_url)
                if self._closed:
                    storage.close()
                    raise StorageError("the server is shutting down")
                self._storage = storage
            return self._storage

    async def open(self) -> "Storage":
        """Return the storage. Raises as ``open_now``. Callers at the same time share one attempt, and one thread."""
        if self._storage:
            return self._storage
        if self._opening is None:
            self._opening = asyncio.create_task(in_writing_thread(self.open_now))
            self._opening.add_done_callback(self._finish_opening)
        return await asyncio.shield(self._opening)

    def _finish_opening(self, opening: "asyncio.Task[Storage]") -> None:
        self._opening = None
        if not opening.cancelled() and not opening.exception():
            self._opened.set()

    async def when_in_use(self) -> "Storage":
        """Wait until the storage is in use, and return it."""
        while True:
            if self.in_use:
                try:
                    return await self.open()
                except StorageError as error:
                    logger.warning("storage not opened", extra={"reason": str(error)})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._opened.wait()

    def close(self) -> None:
        """Close the storage, if it was opened. It cannot be opened again."""
        self._closed = True
        if self._storage:
            self._storage.close()
