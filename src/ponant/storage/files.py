"""Uploaded files: their rows in the database and their contents."""

import time
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, Select, delete, false, func, or_, select

from ponant.callers import Caller
from ponant.storage.blobs import Blobs, BlobWriter
from ponant.storage.database import Database
from ponant.storage.descriptions import FileDetails, FileFilter, Page
from ponant.storage.errors import StorageError, UnknownFileError
from ponant.storage.pages import read_page
from ponant.storage.tables import FileRow
from ponant.storage.threads import in_thread, in_writing_thread

_REMEMBERED = 10_000


class FileStore:
    """Files in a database, with their contents in a folder. Every method raises StorageError on failures."""

    def __init__(self, database: Database, folder: Path) -> None:
        """Open the files, and remove uploads that a crash has interrupted. Blocks."""
        self._database = database
        self._blobs = Blobs(folder)
        self._deleted = OrderedDict[str, int]()
        """Numbers of the files deleted last, as a client may delete the files of a list while it reads the list."""
        self._blobs.sweep(self._is_stored)
        self._remove_expired()

    def begin(self) -> BlobWriter:
        """Return a writer for the content of a new file. Blocks."""
        return self._blobs.create(str(uuid.uuid4()))

    async def add(self, writer: BlobWriter, details: FileDetails, *, caller: Caller) -> FileRow:
        """Add a file whose content is written completely."""
        await in_thread(writer.flush)
        return await in_writing_thread(self._add, writer, details)

    async def find(self, id_: str, *, caller: Caller) -> FileRow:
        """Return a file. Raises UnknownFileError."""
        file = await self._database.read(lambda session: session.scalar(_by_id(id_)))
        if file is None:
            raise UnknownFileError(id_)
        return file

    async def page(self, wanted: FileFilter, page: Page, *, caller: Caller) -> tuple[Sequence[FileRow], int]:
        """Return a page of files, and the number of files on all pages.

        Args:
            wanted: conditions that the files meet.
            page: the page. The file that it comes after may have been deleted meanwhile.
            caller: origin of the request.

        Raises:
            UnknownFileError: there is no file that the page comes after.
        """
        after = None if page.after is None else await self._number(page.after, caller)
        return await read_page(self._database, FileRow, [_is_current(), *_conditions(wanted)], page, after=after)

    async def totals(self) -> tuple[int, int]:
        """Return the number of files, and the bytes of their contents."""
        statement = select(func.count(), func.coalesce(func.sum(FileRow.size), 0)).where(_is_current())
        count, size = await self._database.read(lambda session: session.execute(statement).one())
        return count, int(size)

    def content(self, file: FileRow) -> Path:
        """Return the path of a file's content. Raises UnknownFileError if it was deleted, and StorageError."""
        path = self._blobs.path(file.id)
        if not path.exists():
            raise UnknownFileError(file.id)
        if not path.is_file():
            raise StorageError(f"{path} is not a regular file")
        return path

    async def delete(self, id_: str, *, caller: Caller) -> None:
        """Delete a file. Open readers of its content keep it. Raises UnknownFileError."""
        file = await self.find(id_, caller=caller)
        if not await in_writing_thread(self._delete, file.id):
            raise UnknownFileError(id_)

    async def _number(self, id_: str, caller: Caller) -> int:
        """Return the number of a file, even of one that was deleted lately. Raises UnknownFileError."""
        return self._deleted[id_] if id_ in self._deleted else (await self.find(id_, caller=caller)).number

    def _add(self, writer: BlobWriter, details: FileDetails) -> FileRow:
        self._remove_expired()
        now = int(time.time())
        file = FileRow(
            id=writer.id,
            filename=details.filename,
            purpose=details.purpose,
            sample_type=details.sample_type,
            source=details.source,
            visibility=details.visibility,
            mimetype=details.mimetype,
            size=writer.size,
            num_lines=details.num_lines,
            sha256=writer.sha256,
            created_at=now,
            expires_at=None if details.seconds is None else now + int(details.seconds),
        )
        self._database.write_now(lambda session: session.add(file))
        try:
            writer.publish()
        except BaseException:
            self._forget(writer.id)
            raise
        return file

    def _delete(self, id_: str) -> bool:
        is_deleted = self._blobs.delete(id_, lambda: self._forget(id_))
        self._database.fill_reserve()
        return is_deleted

    def _forget(self, id_: str) -> bool:
        """Delete the row of a file. Returns False if there was none."""
        statement = delete(FileRow).where(FileRow.id == id_).returning(FileRow.number)
        number = self._database.free_now(lambda session: session.scalar(statement))
        if number is not None:
            self._deleted[id_] = number
            while len(self._deleted) > _REMEMBERED:
                self._deleted.popitem(last=False)
        return number is not None

    def _is_stored(self, id_: str) -> bool:
        statement = select(FileRow.id).where(FileRow.id == id_)
        return self._database.write_now(lambda session: session.scalar(statement)) is not None

    def _remove_expired(self) -> None:
        statement = select(FileRow.id).where(~_is_current())
        for id_ in self._database.read_now(lambda session: session.scalars(statement).all()):
            self._delete(id_)


def _by_id(id_: str) -> Select[FileRow]:
    # Databases differ in the texts that they accept; ids are accepted by all.
    known = FileRow.id == id_ if _is_uuid(id_) else false()
    return select(FileRow).where(_is_current(), known)


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _is_current() -> ColumnElement[bool]:
    return or_(FileRow.expires_at.is_(None), FileRow.expires_at > int(time.time()))


def _conditions(wanted: FileFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.sample_types is not None:
        conditions.append(FileRow.sample_type.in_(wanted.sample_types))
    if wanted.sources is not None:
        conditions.append(FileRow.source.in_(wanted.sources))
    if wanted.mimetypes is not None:
        conditions.append(FileRow.mimetype.in_([text for text in wanted.mimetypes if "\0" not in text]))
    if wanted.purpose is not None:
        conditions.append(FileRow.purpose == wanted.purpose)
    if wanted.search is not None:
        has_it = FileRow.filename.icontains(wanted.search, autoescape=True)
        conditions.append(has_it if "\0" not in wanted.search else false())
    return conditions
