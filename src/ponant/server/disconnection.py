"""The disconnection of a client, as an extension of ASGI."""

from collections.abc import Callable, MutableMapping
from typing import Any

_EXTENSION = "ponant.disconnection"


class Disconnection:
    """The disconnection of a request's client, which the connection reports without a task that waits for it.

    Attributes:
        happened: True if the client has disconnected before the whole response was sent.
    """

    def __init__(self) -> None:
        self.happened = False
        self._then: Callable[[], object] | None = None

    def report(self) -> None:
        """Note that the client has disconnected."""
        self.happened = True
        if self._then:
            self._then()

    def then(self, call: Callable[[], object] | None) -> None:
        """Call a function when the client disconnects, in place of the one before; at once if that has happened."""
        self._then = call
        if call and self.happened:
            call()


def set_disconnection(scope: MutableMapping[str, Any], disconnection: Disconnection) -> None:
    """Set the disconnection of a request's client."""
    scope.setdefault("extensions", {})[_EXTENSION] = disconnection


def disconnection_of(scope: MutableMapping[str, Any]) -> Disconnection | None:
    """Return the disconnection of a request's client; None if its connection does not report it."""
    disconnection: Disconnection | None = scope.get("extensions", {}).get(_EXTENSION)
    return disconnection
