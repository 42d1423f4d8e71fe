"""The database: SQLite in a file, or PostgreSQL."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session

from ponant.errors import missing_extra
from ponant.private_files import check_file, open_file
from ponant.storage.errors import StorageError, StorageFullError
from ponant.storage.migrate import migrate
from ponant.storage.reserve import Reserve
from ponant.storage.threads import in_thread, in_writing_thread, seconds_for_locks

T = TypeVar("T")

_LEAST_ROOM = 2**16
"""Bytes on a disk that is full: fewer than SQLite needs to begin a transaction."""
_CACHED_PAGES = 256
"""KiB of its pages that each connection of SQLite keeps. They are small next to those that the system keeps."""
_DISK_FULL = "53100"
"""SQLSTATE of a full disk in PostgreSQL."""


class Database:
    """Runs transactions, each in a thread.

    A writing transaction takes SQLite's write lock when it begins, so it cannot fail half-way because another
    transaction wrote first.
    """

    def __init__(self, url: str) -> None:
        """Open the database; create and migrate it if necessary.

        Args:
            url: SQLAlchemy URL: ``sqlite:///path`` or ``postgresql://user:password@host/name``.

        Raises:
            StorageError: the database cannot be opened, or a newer version of Ponant created it.
        """
        self._engine = _engine(url)
        self._writing = self._engine.execution_options(writes=True)
        file = _file_of(self._engine.url)
        self._reserve = Reserve(file.with_name(f"{file.name}-reserve")) if file else None
        try:
            self._with_reserve(self._migrate)
        except BaseException:
            self.close()
            raise
        self.fill_reserve()

    async def read(self, work: Callable[[Session], T]) -> T:
        """Return the result of ``work``, whose objects stay usable. Raises StorageError."""
        return await in_thread(self.read_now, work)

    async def write(self, work: Callable[[Session], T]) -> T:
        """Return the result of ``work`` after the commit; roll back if it raises. Raises StorageError."""
        return await in_writing_thread(self.write_now, work)

    async def free(self, work: Callable[[Session], T]) -> T:
        """Return the result of ``work``, which leads to the deletion of files; see ``free_now``."""
        return await in_writing_thread(self.free_now, work)

    def read_now(self, work: Callable[[Session], T]) -> T:
        """Read in the calling thread; see ``read``. Blocks."""
        return self._run(self._engine, work)

    def write_now(self, work: Callable[[Session], T]) -> T:
        """Write in the calling thread; see ``write``. Blocks."""
        return self._run(self._writing, work)

    def free_now(self, work: Callable[[Session], T]) -> T:
        """Write in the calling thread, on a full disk with the space of the reserve. Blocks.

        What is left of the reserve is kept. A caller that then deletes files calls ``fill_reserve``, to make it whole.
        """
        return self._with_reserve(lambda: self.write_now(work))

    def fill_reserve(self) -> None:
        """Set space apart for deletions on a full disk. Blocks."""
        if self._reserve:
            self._reserve.fill()

    def _with_reserve(self, work: Callable[[], T]) -> T:
        """Return the result of ``work``, which is called again with the space of the reserve if the disk is full."""
        try:
            return work()
        except StorageFullError:
            if not (self._reserve and self._reserve.release()):
                raise
        try:
            return work()
        finally:
            self.fill_reserve()

    def _migrate(self) -> None:
        with _translated(self._engine), self._writing.begin() as connection:
            migrate(connection)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @staticmethod
    def _run(engine: Engine, work: Callable[[Session], T]) -> T:
        with _translated(engine), Session(engine, expire_on_commit=False) as session, session.begin():
            return work(session)


def _engine(url: str) -> Engine:
    try:
        parsed = _with_driver(make_url(url))
        engine = create_engine(parsed, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise StorageError(f"database_url needs the package {error.name}: {missing_extra('postgres')}") from None
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise StorageError(f"database_url must be a URL of SQLite or PostgreSQL: {error}") from None
    if engine.dialect.name == "sqlite":
        _prepare_file(_file_of(parsed))
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "begin", _begin_postgresql)
    return engine


def _file_of(url: URL) -> Path | None:
    """Return SQLite's file; None for a database without one."""
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(url.database) if is_file and url.database and not url.database.startswith("file:") else None


def _prepare_file(path: Path | None) -> None:
    """Create SQLite's file for this user only; SQLite gives its other files the same rights. Raises StorageError."""
    if path is None:
        return
    try:
        for suffix in ("-wal", "-shm", "-journal"):
            check_file(path.with_name(path.name + suffix))
        open_file(path, "ab").close()
    except OSError as error:
        raise StorageError(f"the database {path} cannot be opened: {error.strerror}") from error


def _with_driver(url: URL) -> URL:
    """Return the URL with the driver of the extra ``postgres`` if it names none."""
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError(f"{url.drivername} is not supported")
    return url


def _set_up_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # the driver's own transactions exclude changes of tables
    for pragma in (_busy_timeout(), "journal_mode = WAL", "foreign_keys = ON", f"cache_size = -{_CACHED_PAGES}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(f"PRAGMA {_busy_timeout()}")
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _busy_timeout() -> str:
    return f"busy_timeout = {1 + int(1000 * seconds_for_locks())}"


def _begin_postgresql(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {1 + int(1000 * seconds_for_locks())}")


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    """Translate errors of the database to errors of this package."""
    try:
        yield
    except DBAPIError as error:
        cause = error.orig
        full = getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or _has_no_room(engine.url)
        if full or getattr(cause, "sqlstate", None) == _DISK_FULL:
            raise StorageFullError("the disk of the database is full") from error
        name = engine.url.render_as_string(hide_password=True)
        raise StorageError(f"the database {name} cannot be used: {cause}") from error


def _has_no_room(url: URL) -> bool:
    """Return True if the disk of SQLite's file is full: SQLite reports that in several ways."""
    file = _file_of(url)
    try:
        return file is not None and shutil.disk_usage(file.parent).free < _LEAST_ROOM
    except OSError:
        return False
