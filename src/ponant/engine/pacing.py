"""What the steps of this machine cost, and how much of a prompt may be computed beside running completions."""

import numpy as np
from numpy.typing import NDArray

_SMOOTHING = 0.2
_SIZES = np.array([1, 2, 3, 5, 9, 17, 33, 64, 129, 257])
"""Where classes of steps begin, by rows. Kernels change with the number of rows, at 64 most of all."""
_STRETCH = 2.0
"""How many times as long as a step without prefill a step with prefill may take."""
_FEWEST_TOKENS = 8
_FIRST_GUESS = 64


class StepCosts:
    """Learns how long a step takes by its number of rows, the tokens computed in it."""

    def __init__(self) -> None:
        self._rows = np.zeros(len(_SIZES))
        self._seconds = np.zeros(len(_SIZES))

    def observe(self, rows: int, seconds: float) -> None:
        """Take note of a step."""
        size = int(np.searchsorted(_SIZES, rows, side="right")) - 1
        if self._rows[size] == 0:
            self._rows[size], self._seconds[size] = rows, seconds
        else:
            self._rows[size] += _SMOOTHING * (rows - self._rows[size])
            self._seconds[size] += _SMOOTHING * (seconds - self._seconds[size])

    def seconds(self, most_rows: int) -> NDArray[np.float64] | None:
        """What a step of one row should take, of two, and so on up to ``most_rows``; None before anything is known."""
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


def _usual_costs() -> StepCosts:
    costs = StepCosts()
    for rows in (1, 64):
        costs.observe(rows, 1 + 0.4 * (rows - 1))
    return costs


USUAL_COSTS = _usual_costs()
"""What rows cost on a usual machine, in proportion, for decisions that must not depend on time."""


class Pacer:
    """Sizes the next chunk of prefill by what steps cost."""

    def __init__(self, most_tokens: int) -> None:
        self.costs = StepCosts()
        self._most_tokens = most_tokens

    def prefill_tokens(self, decoding: int) -> int:
        """The most tokens of prefill that the next step should have beside ``decoding`` running completions."""
        if not decoding:
            return self._most_tokens
        seconds = self.costs.seconds(decoding + self._most_tokens)
        if seconds is None:
            return min(_FIRST_GUESS, self._most_tokens)
        seconds = np.maximum.accumulate(seconds)
        affordable = int(np.searchsorted(seconds, _STRETCH * seconds[decoding - 1], side="right")) - decoding
        return max(_FEWEST_TOKENS, min(affordable, self._most_tokens))
