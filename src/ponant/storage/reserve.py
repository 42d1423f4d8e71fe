"""A reserve of disk space, which lets a full disk be emptied: deletions write to the database too."""

import contextlib
import os
from pathlib import Path

from ponant.private_files import open_file

_BYTES = 2**20


class Reserve:
    """A file that occupies disk space until a deletion needs it. Errors of the disk are ignored."""

    def __init__(self, path: Path) -> None:
        """Use a file. It is created by ``fill``."""
        self._path = path

    def fill(self) -> None:
        """Occupy the space, or as much of it as the disk has."""
        with contextlib.suppress(OSError), open_file(self._path, "ab") as file:
            missing = _BYTES - os.fstat(file.fileno()).st_size
            if missing > 0:
                file.write(os.urandom(missing))  # a file system could compress zeros

    def release(self) -> bool:
        """Free the space. Returns False if there was none."""
        with contextlib.suppress(OSError), open_file(self._path, "ab") as file:
            size = os.fstat(file.fileno()).st_size
            file.truncate(0)
            return size > 0
        return False
