"""The caller of a request, in its ASGI scope."""

from collections.abc import MutableMapping
from typing import Any

from ponant.callers import ANYONE, Caller

_CALLER = "caller"


def set_caller(scope: MutableMapping[str, Any], caller: Caller) -> None:
    """Set the caller of a request."""
    scope[_CALLER] = caller


def caller_of(scope: MutableMapping[str, Any]) -> Caller:
    """Return the caller of a request: ``ANYONE`` if no key was checked, as in calls within this process."""
    found = scope.get(_CALLER)
    return found if isinstance(found, Caller) else ANYONE
