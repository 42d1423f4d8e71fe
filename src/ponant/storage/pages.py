"""Pages of a table, the newest rows first."""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from ponant.storage.database import Database
from ponant.storage.tables import NumberedRow

Row = TypeVar("Row", bound=NumberedRow)


async def read_page(
    database: Database, row: type[Row], conditions: Sequence[ColumnElement[bool]], *, number: int, size: int
) -> tuple[Sequence[Row], int]:
    """Return the rows of one page, and the number of rows on all pages.

    Args:
        database: the database.
        row: the class of the table's rows.
        conditions: conditions that all rows meet.
        number: number of the page, from 0.
        size: rows per page.
    """
    rows = select(row).where(*conditions).order_by(row.number.desc())
    count = select(func.count()).select_from(row).where(*conditions)

    def read(session: Session) -> tuple[Sequence[Row], int]:
        total = session.scalar(count) or 0
        if number * size >= total:
            return [], total
        return session.scalars(rows.offset(number * size).limit(size)).all(), total

    return await database.read(read)
