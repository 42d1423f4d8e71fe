"""Whose turn it is to compute, among workers that share processor cores.

Two workers that compute at once on the same cores take far more than twice as long, as the threads of each wait for
each other at every operation. So only one of them computes at a time, and the time is divided fairly: who has used less
of it than another who waits goes on. A worker that ends, however it does, leaves its turn to the others.
"""

import fcntl
import math
import mmap
import os
import time
from pathlib import Path
from typing import Self

import msgspec

PLACES = 64
"""How many workers can take turns."""

_QUANTUM = 0.01
"""Seconds of computing that a worker may be ahead of another who waits."""
_FLOAT_BYTES = 8
_QUEUE, _TURN = 0, 1
"""The bytes of the file that are locked: who holds the first one is the next to hold the second one."""


class Place(msgspec.Struct, frozen=True):
    """A worker's place: the file that those who take turns have in common, and its number there."""

    file: str
    number: int


def make_turns_file(path: Path) -> None:
    """Write a file for ``PLACES`` workers."""
    path.write_bytes(bytes((1 + 2 * PLACES) * _FLOAT_BYTES))


def vacate(place: Place) -> None:
    """Forget the worker that had a place, which may have died while it waited. Raises OSError if there is no file."""
    _, _, waiting = _shared(place)
    waiting[place.number] = 0


class Turns:
    """A worker's side: enter it as a context for each step of computing.

    Between steps the turn is kept as long as nobody else has more right to it. ``leave`` gives it up when there is
    nothing to compute.
    """

    def __init__(self, place: Place) -> None:
        """Take a place. Raises OSError if there is no such file."""
        vacate(place)
        self._clock, self._used, self._waiting = _shared(place)
        self._number = place.number
        self._file = os.open(place.file, os.O_RDWR)
        self._has_turn = False
        self._began = 0.0

    @property
    def contended(self) -> bool:
        """Whether others wait for their turn."""
        return any(self._waiting)

    def __enter__(self) -> Self:
        """Wait for the turn."""
        if not self._has_turn:
            self._waiting[self._number] = 1
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _QUEUE)
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _TURN)
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _QUEUE)
            self._waiting[self._number] = 0
            self._has_turn = True
            # Who had nothing to compute has not saved up that time.
            self._used[self._number] = max(self._used[self._number], self._clock[0])
        self._clock[0] = self._used[self._number]
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """End a step, and with it the turn if another one who waits has computed less."""
        self._used[self._number] += time.perf_counter() - self._began
        others = (used for used, waits in zip(self._used, self._waiting, strict=True) if waits)
        if self._used[self._number] > min(others, default=math.inf) + _QUANTUM:
            self.leave()

    def leave(self) -> None:
        """Let others compute."""
        if self._has_turn:
            self._has_turn = False
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _TURN)


def _shared(place: Place) -> "tuple[memoryview[float], memoryview[float], memoryview[float]]":
    """What all workers see: the time used by who computed last, and for each how much it has used and if it waits."""
    with Path(place.file).open("r+b") as file:
        shared = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
    return shared[:1], shared[1 : 1 + PLACES], shared[1 + PLACES :]
