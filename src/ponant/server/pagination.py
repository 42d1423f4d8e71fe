"""Pages of lists: by number, as in the Mistral API, or after a cursor, as in OpenAI's."""

from typing import Annotated, Literal, TypeAlias

from fastapi import Query

from ponant.api.numbers import LARGEST_COUNT
from ponant.errors import InvalidRequestError
from ponant.storage.descriptions import Page

_LARGEST_PAGE = 1000
_LARGEST_LIMIT = 10_000

# Bounds are declared here and checked by `page_of`, whose errors have status 400.
PageNumber: TypeAlias = Annotated[int, Query(json_schema_extra={"minimum": 0, "maximum": LARGEST_COUNT})]
PageSize: TypeAlias = Annotated[int, Query(json_schema_extra={"minimum": 1, "maximum": _LARGEST_PAGE})]
After: TypeAlias = Annotated[str | None, Query(include_in_schema=False)]
Limit: TypeAlias = Annotated[int | None, Query(include_in_schema=False)]
Order: TypeAlias = Annotated[Literal["asc", "desc"], Query(include_in_schema=False)]


def page_of(number: int, size: int, *, after: str | None = None, limit: int | None = None, order: str = "desc") -> Page:
    """Return the description of a page.

    Args:
        number: number of the page, from 0.
        size: most items of the page.
        after: id of the item before the page.
        limit: most items of the page; takes precedence over ``size``.
        order: ``desc`` for the newest first, ``asc`` for the oldest first.

    Raises:
        InvalidRequestError: a number is out of bounds.
    """
    if number < 0:
        raise InvalidRequestError("page must be 0 or more", param="page")
    if number > LARGEST_COUNT:
        raise InvalidRequestError(f"page must be at most {LARGEST_COUNT}", param="page")
    if not 1 <= size <= _LARGEST_PAGE:
        raise InvalidRequestError(f"page_size must be from 1 to {_LARGEST_PAGE}", param="page_size")
    if limit is not None and not 1 <= limit <= _LARGEST_LIMIT:
        raise InvalidRequestError(f"limit must be from 1 to {_LARGEST_LIMIT}", param="limit")
    return Page(number=number, size=limit or size, after=after, oldest_first=order == "asc")
