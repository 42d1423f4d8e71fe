"""``UNSET``: a parameter that was not given, where None is a value of its own."""

import enum
from typing import Final, Literal, TypeAlias, TypeVar


class Unset(enum.Enum):
    """The type of ``UNSET``."""

    UNSET = "unset"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Not given: the field is left out of the request. None, in the same place, is sent as null."""

T = TypeVar("T")
OptionalNullable: TypeAlias = T | Unset | None
"""A parameter that may be left out (``UNSET``), or be null."""
