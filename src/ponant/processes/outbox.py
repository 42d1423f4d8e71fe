"""Requests of a worker, kept so that its successor can begin them again."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

import msgspec

from ponant.errors import RequestRefusedError
from ponant.processes.supervisor import Death

_DEATHS_TO_ISOLATE = 2
_SECONDS_APART = 600.0
_MOST_APART = 256


@dataclass(slots=True)
class _Kept:
    """A request: its frame, and the number of workers that died while they computed it."""

    frame: msgspec.Struct
    is_sent: bool = False
    deaths: int = 0

    @property
    def is_isolated(self) -> bool:
        """True if the worker may have nothing else while it has this request."""
        return self.deaths >= _DEATHS_TO_ISOLATE


class Outbox:
    """Requests that the worker has, or that wait for it, in the order of arrival.

    A request under which two workers died is computed alone, so that it can take no others with it. One under which a
    worker died a second time while it was the only suspect is refused. If the worker crashed and was not killed, equal
    requests are set apart for ten minutes: they are refused at once.
    """

    def __init__(self, send: Callable[[msgspec.Struct], None], identity: Callable[[msgspec.Struct], object]) -> None:
        """Keep requests.

        Args:
            send: sends a frame to the worker.
            identity: returns the part of a request's frame by which equal requests are recognised.
        """
        self._send = send
        self._identity = identity
        self._kept: dict[int, _Kept] = {}
        self._waits: dict[int, None] = {}
        self._is_open = True
        self._apart: OrderedDict[bytes, float] = OrderedDict()

    def add(self, request_id: int, frame: msgspec.Struct) -> None:
        """Send a request, or keep it until it may be sent. Raises RequestRefusedError if it is set apart."""
        if self._is_apart(frame):
            raise RequestRefusedError
        self._kept[request_id] = _Kept(frame)
        self._waits[request_id] = None
        self._send_more()

    def has_sent(self, request_id: int) -> bool:
        """True if the worker has this request."""
        kept = self._kept.get(request_id)
        return kept is not None and kept.is_sent

    def remove(self, request_id: int) -> None:
        """Forget a request that has ended."""
        self._kept.pop(request_id, None)
        self._waits.pop(request_id, None)
        self._send_more()

    def clear(self) -> None:
        """Forget all requests."""
        self._kept.clear()
        self._waits.clear()

    def close(self, death: Death, computed: Collection[int]) -> list[int]:
        """Keep everything for the next worker.

        Args:
            death: how the worker ended.
            computed: requests that it may have died of; if there are none, it may have been any that it had.

        Returns:
            Requests that are refused.
        """
        self._is_open = False
        suspects = {request_id for request_id in computed if self.has_sent(request_id)}
        suspects = suspects or {request_id for request_id, kept in self._kept.items() if kept.is_sent}
        refused: list[int] = []
        for request_id in suspects:
            kept = self._kept[request_id]
            kept.deaths += 1
            if len(suspects) == 1 and kept.deaths >= _DEATHS_TO_ISOLATE:
                refused.append(request_id)
                self._kept.pop(request_id)
                if death.crashed:
                    self._set_apart(kept.frame)
        for kept in self._kept.values():
            kept.is_sent = False
        self._waits = dict.fromkeys(self._kept)
        return refused

    def open(self) -> None:
        """Send what was kept: there is a new worker."""
        self._is_open = True
        self._send_more()

    def _send_more(self) -> None:
        """Send the requests that may be sent now, in their order. None overtakes one that waits to be alone."""
        if not self._is_open or not self._waits:
            return
        present = [kept for kept in self._kept.values() if kept.is_sent]
        if any(kept.is_isolated for kept in present):
            return
        count = len(present)
        for request_id in list(self._waits):
            kept = self._kept[request_id]
            if kept.is_isolated and count:
                return
            del self._waits[request_id]
            kept.is_sent = True
            self._send(kept.frame)
            count += 1
            if kept.is_isolated:
                return

    def _is_apart(self, frame: msgspec.Struct) -> bool:
        now = time.monotonic()
        while self._apart and next(iter(self._apart.values())) < now - _SECONDS_APART:
            self._apart.popitem(last=False)
        return bool(self._apart) and self._digest(frame) in self._apart

    def _set_apart(self, frame: msgspec.Struct) -> None:
        self._apart[self._digest(frame)] = time.monotonic()
        if len(self._apart) > _MOST_APART:
            self._apart.popitem(last=False)

    def _digest(self, frame: msgspec.Struct) -> bytes:
        return hashlib.blake2b(msgspec.msgpack.encode(self._identity(frame)), digest_size=16).digest()
