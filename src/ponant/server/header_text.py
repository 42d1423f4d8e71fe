"""Headers of requests, and headers as errors repeat them."""

from collections.abc import Mapping
from typing import Any

_LONGEST = 100
"""Most characters of a header's value that an error repeats."""


def header(scope: Mapping[str, Any], name: bytes) -> str:
    """Return the first header of a request with a name in lower case; empty if there is none."""
    return next((value.decode("latin-1") for own, value in scope["headers"] if own == name), "")


def headers(scope: Mapping[str, Any], name: bytes) -> list[str]:
    """Return all headers of a request with a name in lower case."""
    return [value.decode("latin-1") for own, value in scope["headers"] if own == name]


def content_type_is(sent: str | None) -> str:
    """Return a clause of an error about the header Content-Type as it was sent."""
    return f"header Content-Type is {shown(sent)}" if sent else "header Content-Type is missing"


def shown(value: str) -> str:
    """Return the beginning of a header's value."""
    return value[:_LONGEST]
