"""``UNSET``: default of parameters for which None is a value."""

import enum
from typing import Final, Literal, TypeAlias, TypeVar


class Unset(enum.Enum):
    """Type of ``UNSET``."""

    UNSET = "unset"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""A parameter that was not given. The request has no such field, whereas None is sent as null."""

T = TypeVar("T")
OptionalNullable: TypeAlias = T | Unset | None
"""Type of a parameter that may be left out (``UNSET``) or be null."""
