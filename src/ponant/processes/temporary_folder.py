"""Temporary folders, which the next process removes if their own one was killed."""

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self

from ponant.private_files import open_file

_PREFIX = "ponant-run-"
_LOCK = ".owner"
_CREATION_SECONDS = 60.0
"""Age of a folder without a lock file from which its creator must have been killed."""


class TemporaryFolder:
    """A folder in the system's folder for temporary files.

    Its lock is held until it is removed. A folder without a holder was left by a process that was killed.

    Attributes:
        path: path of the folder.
    """

    def __init__(self) -> None:
        """Create a folder, and remove those that killed processes have left. Raises OSError."""
        _sweep(Path(tempfile.gettempdir()))
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            self._lock = open_file(self.path / _LOCK, "w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if os.fstat(self._lock.fileno()).st_nlink:
                return
            self._lock.close()  # swept before it was locked

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            status = folder.lstat()
            if status.st_uid == os.getuid() and not folder.is_symlink():
                _remove_if_left(folder, age=time.time() - status.st_mtime)
        except OSError:  # removed meanwhile, or in use
            continue


def _remove_if_left(folder: Path, *, age: float) -> None:
    """Remove a folder whose creator has ended. Raises BlockingIOError if it is in use."""
    if not (folder / _LOCK).exists():
        if age > _CREATION_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
        return
    with open_file(folder / _LOCK, "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
