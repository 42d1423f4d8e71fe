"""The lock that lets one process at a time run the jobs of a folder."""

import asyncio
import contextlib
import fcntl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TextIO

from ponant.jobs.retry import pause_after
from ponant.private_files import make_folder, open_file

_POLL_SECONDS = 1.0


@contextlib.asynccontextmanager
async def folder_lock(folder: Path) -> AsyncIterator[None]:
    """Hold the lock of a folder. Waits while another process holds it."""
    with await _lock_file(folder) as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_POLL_SECONDS)
        yield


def open_lock_file(folder: Path) -> TextIO:
    """Open the lock file of a folder; create the folder if necessary. Raises OSError."""
    make_folder(folder)
    return open_file(folder / ".lock", "w")


async def _lock_file(folder: Path) -> TextIO:
    """Open the lock file. Retry until that succeeds, for example while the disk is full."""
    while True:
        try:
            return await asyncio.to_thread(open_lock_file, folder)
        except OSError as error:
            await pause_after(error)
