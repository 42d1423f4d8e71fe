"""Storage that is opened when it is first needed.

Opening it takes half a second of computing and 32 MiB, and many servers never keep anything.
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
from ponant.storage.threads import in_thread

if TYPE_CHECKING:
    from ponant.storage.storage import Storage

logger = logging.getLogger("ponant.storage")

_POLL_SECONDS = 2.0
"""Seconds after which it is seen that another server has begun to keep something in the same folder."""


class LazyStorage:
    """What is kept in a folder, opened once."""

    def __init__(self, data_dir: Path, database_url: str | None = None) -> None:
        """Choose a folder, which is made if need be. Arguments as of ``Storage.open``.

        Raises:
            StorageError: it cannot be made, or nothing can be kept in it.
        """
        self._data_dir = data_dir
        self._database_url = database_url
        self._storage: Storage | None = None
        self._opening = threading.Lock()
        self._opened = asyncio.Event()
        make_data_dir(data_dir)
        if not os.access(data_dir, os.W_OK | os.X_OK):
            raise StorageError(f"cannot write in data_dir {data_dir}; give another --data-dir")

    @property
    def in_use(self) -> bool:
        """Whether there is anything to open: this server, or another one, has kept something."""
        return self._storage is not None or has_storage(self._data_dir, self._database_url)

    def open_now(self) -> "Storage":
        """The storage. Blocks. Raises StorageError if it cannot be opened; the next call tries again."""
        with self._opening:
            if self._storage is None:
                from ponant.storage.storage import Storage

                self._storage = Storage.open(self._data_dir, self._database_url)
            return self._storage

    async def open(self) -> "Storage":
        """The storage. Raises as ``open_now``."""
        if self._storage is None:
            await in_thread(self.open_now)
            self._opened.set()
        assert self._storage
        return self._storage

    async def when_in_use(self) -> "Storage":
        """The storage, once there is anything to open."""
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
        """Close it, if it was opened."""
        if self._storage:
            self._storage.close()
