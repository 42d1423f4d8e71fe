"""The arrival of a request, in its ASGI scope."""

import time
from collections.abc import MutableMapping
from typing import Any

_ARRIVED = "arrived"


def set_arrival(scope: MutableMapping[str, Any]) -> None:
    """Note that the body of a request has arrived."""
    scope[_ARRIVED] = time.monotonic()


def arrival_of(scope: MutableMapping[str, Any]) -> float:
    """Return the time at which the body of a request arrived, in seconds of ``time.monotonic``."""
    arrived: float = scope[_ARRIVED]
    return arrived
