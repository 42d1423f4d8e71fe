"""Limits of client connections: their number, and the time that they may wait for a client."""

import contextlib
import logging
import resource
import time
from dataclasses import dataclass
from typing import Protocol

logger = logging.getLogger("ponant.server")

LARGEST_HEAD = 2**16
"""Most bytes of a request's address and headers together."""
MOST_PARAMETERS = 1000
"""Most parameters of a request's query."""
_MOST_DESCRIPTORS = 2**20
_OTHER_DESCRIPTORS = 32
"""File descriptors of the server itself: the database, the models, the log."""
_SURPLUS = 16
"""Connections beyond the limit, for ``/health`` and refusals."""
_NEAR = 0.9
_SECONDS_BETWEEN_WARNINGS = 60.0


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Limits of connections.

    Attributes:
        head: seconds for the head of a request.
        body: seconds between two pieces of a request's body.
        idle: seconds between two requests.
        send: seconds in which the client reads nothing of what is sent.
        most: connections at once.
    """

    head: float
    body: float
    idle: float
    send: float
    most: int


def raise_descriptor_limit() -> None:
    """Raise the process's limit of file descriptors as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _bounded(hard)
    for wanted in (most, min(most, 10_240)):  # macOS has no hard limit, but refuses more than 10,240
        if _bounded(soft) >= wanted:
            return
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return


def most_connections() -> int:
    """Return the number of connections for which this process has file descriptors: some also open a file."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, _bounded(soft) * 3 // 4 - _OTHER_DESCRIPTORS - _SURPLUS)


def _bounded(limit: int) -> int:
    return _MOST_DESCRIPTORS if limit == resource.RLIM_INFINITY else min(limit, _MOST_DESCRIPTORS)


class Evictable(Protocol):
    """A connection that can be closed while it waits for a request."""

    def evict(self) -> None:
        """Close the connection."""
        ...


class OpenConnections:
    """The open connections of a server.

    If there are too many, a new one replaces the one that has waited longest for its client's request. If all are busy,
    a few more are accepted, which only report the server's health.
    """

    def __init__(self, most: int) -> None:
        """Accept ``most`` connections at once."""
        self._most = most
        self._open: set[Evictable] = set()
        self._waiting: dict[Evictable, None] = {}
        self._warned = float("-inf")

    def add(self, connection: Evictable) -> bool:
        """Add a connection that waits for its first request. Returns False if there is no room for its requests."""
        self._open.add(connection)
        has_room = len(self._open) <= self._most or self._evict()
        if has_room:
            self.wait(connection)
        elif len(self._open) > self._most + _SURPLUS:
            connection.evict()
        if len(self._open) >= _NEAR * self._most:
            self._warn()
        return has_room

    def wait(self, connection: Evictable) -> None:
        """Note that a connection begins to wait for a request."""
        self._waiting.pop(connection, None)
        if connection in self._open:
            self._waiting[connection] = None

    def work(self, connection: Evictable) -> None:
        """Note that a connection has a request."""
        self._waiting.pop(connection, None)

    def remove(self, connection: Evictable) -> None:
        """Remove a connection that is closed."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def _evict(self) -> bool:
        """Close the connection that has waited longest. Returns False if none waits."""
        longest = next(iter(self._waiting), None)
        if longest is None:
            return False
        self.remove(longest)
        longest.evict()
        return True

    def _warn(self) -> None:
        now = time.monotonic()
        if now - self._warned > _SECONDS_BETWEEN_WARNINGS:
            self._warned = now
            logger.warning(
                "connections near the limit",
                extra={"connections": len(self._open), "limit": self._most, "waiting": len(self._waiting)},
            )
