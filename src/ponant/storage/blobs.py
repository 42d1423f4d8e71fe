"""Contents of files on disk, named by id alone.

A blob is written as ``ID.part`` and renamed to ``ID`` when it is whole and known to the database. While it is written,
and while it is deleted, its file is locked; the system frees the lock when the process ends, however it does. So a
``.part`` without a lock is what a crash has left, and ``sweep`` can tell it from what another server is writing.
"""

import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from io import FileIO
from pathlib import Path
from typing import TypeVar

from ponant.storage.errors import StorageError, StorageFullError

T = TypeVar("T")

_PART = ".part"


class BlobWriter:
    """A blob that is being written. Ends by ``publish`` or ``discard``; may be used from several threads, in turn."""

    def __init__(self, path: Path) -> None:
        """Begin a blob that is to be at ``path``. Raises StorageError."""
        self.id = path.name
        self.size = 0
        self._path = path
        self._part = _part_of(path)
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()
        with _disk_errors():
            self._file = _create_locked(self._part)

    @property
    def sha256(self) -> str:
        """Of what was written, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Append. Raises StorageFullError if the disk is full."""
        with self._lock, _disk_errors(), memoryview(data) as view:
            written = 0
            while written < len(view):
                written += self._file.write(view[written:]) or 0
            self._hash.update(view)
            self.size += len(view)

    def flush(self) -> None:
        """Have all of it on the disk itself. Raises StorageFullError if the disk is full."""
        with self._lock, _disk_errors():
            os.fsync(self._file.fileno())

    def publish(self) -> None:
        """Give it its name."""
        with self._lock, _disk_errors():
            self._part.rename(self._path)
            _sync_folder(self._path.parent)
            self._file.close()

    def discard(self) -> None:
        """Remove it, unless it is published."""
        with self._lock, _disk_errors():
            if self._file.closed:
                return
            with self._file:
                self._part.unlink(missing_ok=True)
                self._path.unlink(missing_ok=True)


class Blobs:
    """The blobs of a folder."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made if need be. Raises StorageError."""
        self._folder = folder
        with _disk_errors():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self, id_: str) -> BlobWriter:
        """Begin a blob. Raises StorageError."""
        return BlobWriter(self.path(id_))

    def path(self, id_: str) -> Path:
        """Where a blob is, once it is published."""
        return self._folder / id_

    def delete(self, id_: str, forget: Callable[[], T]) -> T:
        """Delete a blob once the database has forgotten it.

        Args:
            id_: its id.
            forget: has the database forget it. If it raises, the blob stays.

        Returns:
            What ``forget`` returns.

        Raises:
            StorageError: the folder cannot be changed.
        """
        path = self.path(id_)
        part = _part_of(path)
        with _disk_errors(), _open_locked(path) or nullcontext():
            with suppress(FileNotFoundError):  # there is none, or somebody else has deleted it meanwhile
                path.rename(part)
            try:
                result = forget()
            except BaseException:
                with suppress(FileNotFoundError):
                    part.rename(path)
                raise
            part.unlink(missing_ok=True)
            return result

    def sweep(self, is_known: Callable[[str], bool]) -> None:
        """Remove what crashes have left.

        Args:
            is_known: whether the database has a blob of this id: then it is whole and just lacks its name.

        Raises:
            StorageError: the folder cannot be changed.
        """
        with _disk_errors():
            for part in self._folder.glob(f"*{_PART}"):
                file = _open_locked(part, wait=False)
                if file is None:
                    continue
                with file, suppress(FileNotFoundError):
                    if is_known(part.stem):
                        part.rename(part.with_suffix(""))
                    else:
                        part.unlink()


def _part_of(path: Path) -> Path:
    """The name of a blob that is not whole."""
    return path.with_name(path.name + _PART)


def _create_locked(path: Path) -> FileIO:
    while True:
        file = FileIO(path, "xb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # it was swept away before it was locked


def _open_locked(path: Path, *, wait: bool = True) -> FileIO | None:
    """The file, locked; None if there is none, or if it is locked and not waited for."""
    try:
        file = FileIO(path, "rb+")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _sync_folder(folder: Path) -> None:
    """Have the names of a folder on the disk itself."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError("the disk is full") from error
        raise StorageError(f"cannot write to data_dir: {error}") from error
