"""Tokens per second of engines at present, from their totals."""

import time
from collections import deque

_WINDOW_SECONDS = 4.0
"""Time over which a rate is measured, if it is asked for often enough."""
_STALE_SECONDS = 12.0
"""Age of the last total from which the next one begins a new measurement."""
_SHORTEST_SECONDS = 0.25
"""Least time between two totals that are compared."""


class TokenRates:
    """Rates by model id, each from the totals at the times at which it was asked for. Nothing runs in between."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[tuple[float, int]]] = {}

    def rate(self, model_id: str, total: int, now: float | None = None) -> float | None:
        """Return the tokens per second since the oldest total of the window; None for the first one.

        Args:
            model_id: id of the model.
            total: tokens that it has generated. It falls when its engine restarts.
            now: time in seconds; by default of ``time.monotonic``.
        """
        now = time.monotonic() if now is None else now
        samples = self._samples.setdefault(model_id, deque())
        if samples and (total < samples[-1][1] or now - samples[-1][0] > _STALE_SECONDS):
            samples.clear()
        while len(samples) > 1 and now - samples[0][0] > _WINDOW_SECONDS:
            samples.popleft()
        began, first = samples[0] if samples else (now, total)
        if not samples or now - samples[-1][0] >= _SHORTEST_SECONDS:
            samples.append((now, total))
        return (total - first) / (now - began) if now - began >= _SHORTEST_SECONDS else None
