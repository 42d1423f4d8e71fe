"""Turns of the event loop: the work of its thread between two polls."""

import asyncio
import time
from weakref import WeakKeyDictionary

LONGEST_TURN = 0.01
"""Seconds of a turn after which work that can be divided is continued in the next turn."""


class LoopTurn:
    """The current turn of an event loop, which all tasks with divisible work share."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._end: float | None = None
        self._checked = self._working_since = 0.0

    async def share(self) -> None:
        """Wait for a turn that has time left. Each task calls this before each piece of its work."""
        while self._is_over():  # noqa: ASYNC110 - the next turn needs no event
            await asyncio.sleep(0)

    def has_time(self) -> bool:
        """True if this turn has time left. Work outside of tasks calls this before each piece.

        The turn is observed only after a tenth of its time without a pause, as the observation adds a poll.
        """
        now, short = time.monotonic(), LONGEST_TURN / 10
        if now - self._checked > short:
            self._working_since = now
        self._checked = now
        if self._end is None and now - self._working_since < short:
            return True
        return not self._is_over()

    def _is_over(self) -> bool:
        now = time.monotonic()
        if self._end is None:
            self._end = now + LONGEST_TURN
            self._loop.call_soon(self._begin)
        return now > self._end

    def _begin(self) -> None:
        self._end = None


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopTurn] = WeakKeyDictionary()


def turn() -> LoopTurn:
    """Return the turn of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _turns:
        _turns[loop] = LoopTurn(loop)
    return _turns[loop]
