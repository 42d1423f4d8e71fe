"""A lock on processor cores, shared by worker processes.

Two workers that compute on the same cores at once take far more than twice as long, since the threads of each wait for
each other at every operation. The lock lets one worker compute at a time and divides the time fairly: the waiting
worker with the least time used is next. The kernel releases the lock of a worker that ends, however it ends.
"""

import fcntl
import math
import mmap
import os
import time
from pathlib import Path
from typing import Self

import msgspec

from ponant.private_files import write_bytes

SLOTS = 64
"""Workers per lock."""

_QUANTUM = 0.01
"""Seconds of computing by which a worker may be ahead of one that waits."""
_FLOAT_BYTES = 8
_NEXT, _HELD = 0, 1
"""Locked bytes of the file: the worker that holds the first one is next to hold the second one."""


class CoreSlot(msgspec.Struct, frozen=True):
    """A worker's slot: the file that the workers of a lock share, and the slot's number in it."""

    file: str
    number: int


def make_lock_file(path: Path) -> None:
    """Write the file of a lock with ``SLOTS`` slots."""
    write_bytes(path, bytes((1 + 2 * SLOTS) * _FLOAT_BYTES))


def free_slot(slot: CoreSlot) -> None:
    """Clear the slot of a worker that may have died while it waited. Raises OSError if there is no file."""
    _, _, waiting = _shared(slot)
    waiting[slot.number] = 0


def is_waiting(slot: CoreSlot) -> bool:
    """True if the worker of a slot waits for the lock. Raises OSError if there is no file."""
    _, _, waiting = _shared(slot)
    return bool(waiting[slot.number])


class CoreLock:
    """A worker's side of the lock: a context manager around each step of computing.

    Between steps the lock stays held as long as no other worker has used less time. ``release`` gives it up when there
    is nothing to compute.
    """

    def __init__(self, slot: CoreSlot) -> None:
        """Take a slot. Raises OSError if there is no such file."""
        free_slot(slot)
        self._clock, self._used, self._waiting = _shared(slot)
        self._number = slot.number
        self._file = os.open(slot.file, os.O_RDWR)
        self._is_held = False
        self._began = 0.0

    @property
    def contended(self) -> bool:
        """True if another worker waits for the lock."""
        return any(self._waiting)

    def __enter__(self) -> Self:
        """Acquire the lock."""
        if not self._is_held:
            self._waiting[self._number] = 1
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _NEXT)
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _HELD)
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _NEXT)
            self._waiting[self._number] = 0
            self._is_held = True
            # An idle worker saves up no time.
            self._used[self._number] = max(self._used[self._number], self._clock[0])
        self._clock[0] = self._used[self._number]
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """End a step, and release the lock if a waiting worker has computed less."""
        self._used[self._number] += time.perf_counter() - self._began
        others = (used for used, waits in zip(self._used, self._waiting, strict=True) if waits)
        if self._used[self._number] > min(others, default=math.inf) + _QUANTUM:
            self.release()

    def release(self) -> None:
        """Release the lock if it is held."""
        if self._is_held:
            self._is_held = False
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _HELD)


def _shared(slot: CoreSlot) -> "tuple[memoryview[float], memoryview[float], memoryview[float]]":
    """Map the file: the time used by the last worker, the time used by each, and a flag for each that waits."""
    with Path(slot.file).open("r+b") as file:
        shared = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
    return shared[:1], shared[1 : 1 + SLOTS], shared[1 + SLOTS :]
