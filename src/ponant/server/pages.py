"""Parameters of paged lists."""

from typing import Annotated, TypeAlias

from fastapi import Query

from ponant.api.numbers import LARGEST_COUNT
from ponant.errors import InvalidRequestError

_LARGEST_PAGE = 1000

# Bounds are declared here and checked by `check_page`, whose errors have status 400.
PageNumber: TypeAlias = Annotated[int, Query(json_schema_extra={"minimum": 0, "maximum": LARGEST_COUNT})]
PageSize: TypeAlias = Annotated[int, Query(json_schema_extra={"minimum": 1, "maximum": _LARGEST_PAGE})]


def check_page(number: int, size: int) -> None:
    """Raise InvalidRequestError if a page's number or size is out of bounds."""
    if number < 0:
        raise InvalidRequestError("page must be 0 or more", param="page")
    if number > LARGEST_COUNT:
        raise InvalidRequestError(f"page must be at most {LARGEST_COUNT}", param="page")
    if not 1 <= size <= _LARGEST_PAGE:
        raise InvalidRequestError(f"page_size must be from 1 to {_LARGEST_PAGE}", param="page_size")
