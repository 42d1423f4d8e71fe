"""Heartbeats of a worker: a hung one is found, however long its steps may be."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from ponant.processes.core_lock import CoreSlot, is_waiting
from ponant.processes.vital_signs import VitalSigns

_LONGEST_INTERVAL = 2.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds after which a worker counts as hung.

    Attributes:
        still: without a step and without use of the processor.
        step: of a single step that uses the processor.
        loading: without use of the processor or the disk while it loads. A load that uses them has no limit.
    """

    still: float = 15.0
    step: float = 600.0
    loading: float = 60.0


USUAL_PATIENCE = Patience()


class Heartbeat:
    """Pings of a worker, which answers them between two steps.

    A worker that has not answered is hung if it does not move either: it neither uses the processor nor waits for its
    turn on the cores. Time in which this process could not run is not counted.
    """

    def __init__(self, process_id: int, ping: Callable[[], None], patience: Patience, slot: CoreSlot | None) -> None:
        """Watch a worker.

        Args:
            process_id: its process.
            ping: sends it a ping.
            patience: when it counts as hung.
            slot: its slot of the lock on the cores, if it has one.
        """
        self._signs = VitalSigns(process_id)
        self._ping = ping
        self._patience = patience
        self._slot = slot
        self._answered = True

    def answer(self) -> None:
        """Record a frame from the worker."""
        self._answered = True

    async def until_hung(self, *, loading: bool = False) -> str:
        """Wait until the worker is hung; returns the reason. While it loads, it is not pinged."""
        patience = self._patience
        limit = patience.loading if loading else patience.still
        interval = min(_LONGEST_INTERVAL, limit / 4)
        still = stepping = 0.0
        before = time.monotonic()
        while True:
            if not loading and self._answered:
                self._answered = False
                self._ping()
                still = stepping = 0.0
            await asyncio.sleep(interval)
            now = time.monotonic()
            passed, before = min(now - before, 2 * interval), now
            sign = self._signs.look()
            if sign == "stopped" or not self._waits_for_cores():
                still = 0.0 if sign == "moving" else still + passed
                stepping += passed
            if self._answered and not loading:
                continue
            if still >= limit:
                return f"did nothing for {limit:g} s"
            if stepping >= patience.step and not loading:
                return f"computed a single step for {patience.step:g} s"

    def _waits_for_cores(self) -> bool:
        with contextlib.suppress(OSError):
            return self._slot is not None and is_waiting(self._slot)
        return False
