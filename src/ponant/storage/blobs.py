"""Contents of files on disk, named by id alone.

A blob is written as ``ID.part`` and renamed to ``ID`` when it is complete and in the database. Its file is locked while
it is written or deleted; the system releases the lock when the process ends for any reason. A ``.part`` file without a
lock is therefore left over from a crash, and ``sweep`` can distinguish it from one that another server is writing.
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

from ponant.private_files import make_folder, opener
from ponant.storage.errors import StorageError, StorageFullError

T = TypeVar("T")

_PART = ".part"


class BlobWriter:
    """A blob that is being written. Ends with ``publish`` or ``discard``. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Begin the blob that ``publish`` puts at ``path``. Raises StorageError."""
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
        """SHA-256 of the bytes written so far, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Append bytes. Raises StorageFullError if the disk is full."""
        with self._lock, _disk_errors(), memoryview(data) as view:
            written = 0
            while written < len(view):
                written += self._file.write(view[written:]) or 0
            self._hash.update(view)
            self.size += len(view)

    def flush(self) -> None:
        """Write all bytes through to the disk. Raises StorageFullError if the disk is full."""
        with self._lock, _disk_errors():
            os.fsync(self._file.fileno())

    def publish(self) -> None:
        """Give the blob its final name."""
        with self._lock, _disk_errors():
            self._part.rename(self._path)
            _sync_folder(self._path.parent)
            self._file.close()

    def discard(self) -> None:
        """Remove the blob, unless it is published."""
        with self._lock, _disk_errors():
            if self._file.closed:
                return
            with self._file:
                self._part.unlink(missing_ok=True)
                self._path.unlink(missing_ok=True)


class Blobs:
    """Blobs of a folder."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; create it if necessary. Raises StorageError."""
        self._folder = folder
        with _disk_errors():
            make_folder(folder)

    def create(self, id_: str) -> BlobWriter:
        """Begin a blob. Raises StorageError."""
        return BlobWriter(self.path(id_))

    def path(self, id_: str) -> Path:
        """Return the path of a published blob."""
        return self._folder / id_

    def delete(self, id_: str, forget: Callable[[], T]) -> T:
        """Delete a blob and its row in the database.

        Args:
            id_: id of the blob.
            forget: deletes the row. If it raises, the blob stays.

        Returns:
            The result of ``forget``.

        Raises:
            StorageError: the folder cannot be changed.
        """
        path = self.path(id_)
        part = _part_of(path)
        with _disk_errors(), _open_locked(path) or nullcontext():
            with suppress(FileNotFoundError):  # absent, or deleted by another process meanwhile
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
        """Remove or restore the blobs that crashed servers have left as ``.part`` files.

        Args:
            is_known: returns True if the database has the id; the blob is then complete and only lacks its final name.

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
    """Return the path of a blob while it is incomplete."""
    return path.with_name(path.name + _PART)


def _create_locked(path: Path) -> FileIO:
    while True:
        file = FileIO(path, "xb", opener=opener)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # removed by a sweep before it was locked


def _open_locked(path: Path, *, wait: bool = True) -> FileIO | None:
    """Open and lock a file. Returns None if there is none, or if another process locks it and ``wait`` is False."""
    try:
        file = FileIO(path, "rb+", opener=opener)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _sync_folder(folder: Path) -> None:
    """Write the names of a folder through to the disk."""
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
