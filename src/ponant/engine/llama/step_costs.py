"""Durations of steps, learned from those that were computed."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EFFICIENT_ROWS = 64
"""Fewest rows of a batch for which llama.cpp uses its efficient attention kernel."""

_SMOOTHING = 0.2
_SMOOTHING_OF_LARGE = 0.5
"""Large chunks are rare and long: each one says more, and figures from an idle engine are soon out of date."""
_SIZES = np.array([1, 2, 3, 5, 9, 17, 33, 64, 129, 257])
"""First number of rows of each class of steps. Kernels change with the number of rows, most of all at 64."""
_DEPTH_CLASS = 1024
"""Tokens per class of depths."""
_SEEN_OFTEN = 5
"""Chunks that must have been seen at a depth before their costs are trusted."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """Size and duration of a step.

    Attributes:
        decoded: rows of running completions.
        prefilled: rows of prompts.
        depth: number of tokens before the deepest of the prompts' rows.
        seconds: duration.
        delayed: rows of other completions that had to wait for the step.
        scores: tokens of prompts were scored, which takes longer than computing them.
    """

    decoded: int
    prefilled: int
    depth: int
    seconds: float
    delayed: int = 0
    scores: bool = False

    @property
    def is_large(self) -> bool:
        """True if the batch had enough rows for the efficient attention kernel."""
        return self.decoded + self.prefilled >= EFFICIENT_ROWS


class RowCosts:
    """Duration of a step by its number of rows."""

    def __init__(self) -> None:
        self._rows = np.zeros(len(_SIZES))
        self._seconds = np.zeros(len(_SIZES))

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from a step."""
        size = int(np.searchsorted(_SIZES, rows, side="right")) - 1
        if self._rows[size] == 0:
            self._rows[size], self._seconds[size] = rows, seconds
        else:
            self._rows[size] += _SMOOTHING * (rows - self._rows[size])
            self._seconds[size] += _SMOOTHING * (seconds - self._seconds[size])

    def seconds(self, most_rows: int) -> NDArray[np.float64] | None:
        """Return the expected seconds of steps with 1 to ``most_rows`` rows; None before the first observation."""
        known = self._rows > 0
        if not known.any():
            return None
        rows, seconds = self._rows[known], self._seconds[known]
        wanted = np.arange(1, most_rows + 1)
        estimates: NDArray[np.float64] = np.interp(wanted, rows, seconds)
        below, beyond = wanted < rows[0], wanted > rows[-1]
        estimates[below] = seconds[0] * wanted[below] / rows[0]
        estimates[beyond] = seconds[-1] * wanted[beyond] / rows[-1]
        return estimates


def _usual_costs() -> RowCosts:
    costs = RowCosts()
    for rows in (1, 64):
        costs.observe(rows, 1 + 0.4 * (rows - 1))
    return costs


USUAL_COSTS = _usual_costs()
"""Relative costs of rows on a usual machine, for decisions that must not depend on time."""


class TokenCosts:
    """Seconds per token of prefill by depth, the number of tokens before it."""

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing
        self._seconds: dict[int, float] = {}
        self._seen: Counter[int] = Counter()

    def observe(self, depth: int, seconds: float) -> None:
        """Learn the seconds per token of a chunk that began at this depth."""
        place = depth // _DEPTH_CLASS
        self._seen[place] += 1
        before = self._seconds.get(place, seconds)
        self._seconds[place] = before + max(self._smoothing, 1 / self._seen[place]) * (seconds - before)

    def seconds(self, depth: int) -> float | None:
        """Return the seconds per token at this depth, or else at the deepest known one before it."""
        place = max((place for place in self._seconds if place <= depth // _DEPTH_CLASS), default=None)
        return None if place is None else self._seconds[place]

    def often_seen(self, depth: int) -> int | None:
        """Return the deepest depth, up to this one, that was seen often enough for its costs to be trusted."""
        places = [place for place, times in self._seen.items() if times >= _SEEN_OFTEN]
        place = max((place for place in places if place <= depth // _DEPTH_CLASS), default=None)
        return None if place is None else place * _DEPTH_CLASS


class StepCosts:
    """Costs of decoding and of prefill.

    Attributes:
        rows: duration of steps that only decode, or only prefill.
        small: cost of a prompt's token in a batch of fewer than ``EFFICIENT_ROWS`` rows.
        large: the same in a larger batch.
    """

    def __init__(self) -> None:
        self.rows = RowCosts()
        self.small = TokenCosts(_SMOOTHING)
        self.large = TokenCosts(_SMOOTHING_OF_LARGE)

    def observe(self, step: StepTime) -> None:
        """Learn from a step."""
        if step.prefilled == 0 or step.decoded + step.delayed == 0:
            self.rows.observe(step.decoded + step.prefilled, step.seconds)
        spent = self.prefill_seconds(step)
        if spent is not None:
            (self.large if step.is_large else self.small).observe(step.depth, spent / step.prefilled)

    def prefill_seconds(self, step: StepTime) -> float | None:
        """Return the seconds of a step that its prompts took; None if it has none, or that is not known yet."""
        if step.prefilled == 0 or (alone := self.alone(step.decoded)) is None:
            return None
        return max(step.seconds - alone, 0.0)

    def alone(self, decoding: int) -> float | None:
        """Return the seconds of a step that has this many rows of completions and no prefill; None if unknown."""
        if decoding == 0:
            return 0.0
        seconds = self.rows.seconds(decoding)
        return None if seconds is None else float(seconds[-1])
