"""Writing to the body of a response at once, as an extension of ASGI.

``send`` of ASGI passes all middleware, which concerns the heads of responses and whole bodies alone, and may suspend.
An event of a stream is written to the connection directly if the client has read enough of the ones before.
"""

from collections.abc import Callable, MutableMapping
from typing import Any

WriteBody = Callable[[bytes], bool]
"""Writes a piece of a body that has begun; returns False if ``send`` must be used instead."""

_EXTENSION = "ponant.write"


def set_body_writer(scope: MutableMapping[str, Any], write: WriteBody) -> None:
    """Set the writer of a request's response."""
    scope.setdefault("extensions", {})[_EXTENSION] = write


def body_writer_of(scope: MutableMapping[str, Any]) -> WriteBody | None:
    """Return the writer of a request's response; None if its connection has none."""
    write: WriteBody | None = scope.get("extensions", {}).get(_EXTENSION)
    return write
