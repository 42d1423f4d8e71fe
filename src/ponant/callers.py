"""Callers of the API."""

import hashlib
from dataclasses import dataclass

_ID_LENGTH = 12
"""Hexadecimal digits of a key's id."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The origin of a request.

    Attributes:
        key: id of the API key that the request carries, never the key itself; None without a key.
    """

    key: str | None = None


ANYONE = Caller()
"""Caller of requests without a key."""


def caller_with(key: str) -> Caller:
    """Return the caller with this API key. Its id is the beginning of the key's SHA-256 digest."""
    return Caller(hashlib.sha256(key.encode()).hexdigest()[:_ID_LENGTH])
