"""Pages of a table."""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from ponant.storage.database import Database
from ponant.storage.descriptions import Page
from ponant.storage.tables import NumberedRow

Row = TypeVar("Row", bound=NumberedRow)


async def read_page(
    database: Database,
    row: type[Row],
    conditions: Sequence[ColumnElement[bool]],
    page: Page,
    *,
    after: int | None = None,
) -> tuple[Sequence[Row], int]:
    """Return the rows of one page, and the number of rows on all pages.

    Args:
        database: the database.
        row: the class of the table's rows.
        conditions: conditions that all rows meet.
        page: the page.
        after: number of the row with the id ``page.after``.
    """
    wanted = list(conditions)
    if after is not None:
        wanted.append(row.number > after if page.oldest_first else row.number < after)
    rows = select(row).where(*wanted).order_by(row.number.asc() if page.oldest_first else row.number.desc())
    count = select(func.count()).select_from(row).where(*wanted)

    def read(session: Session) -> tuple[Sequence[Row], int]:
        total = session.scalar(count) or 0
        first = page.number * page.size
        if first >= total:
            return [], total
        return session.scalars(rows.offset(first).limit(page.size)).all(), total

    return await database.read(read)
