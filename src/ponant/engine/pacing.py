"""What the steps of this machine cost, and how much of a prompt may be computed beside running completions."""

import numpy as np
from numpy.typing import NDArray

_SMOOTHING = 0.2
_SIZES = np.array([1, 2, 3, 5, 9, 17, 33, 64, 129, 257])
"""Where classes of steps begin, by rows. Kernels change with the number of rows, at 64 most of all."""
_EFFICIENT_ROWS = 64
_STRETCH = 2.2
"""How many times as long as a step without prefill a step with prefill may take."""
_UNNOTICED = 0.03
"""Seconds that any step with prefill may take."""
_FEWEST_TOKENS = 4
_FIRST_GUESS = 64
_LONGEST_BURST = 256
"""Tokens: more of them at once would stall the others for seconds on slow machines."""
_DEPTH_CLASS = 1024
_CLIFF = 1.5
"""How many times as much as in a large chunk a token in a small one must cost for bursts to be better."""
_STEPS_BETWEEN_BURSTS = 20
"""So few steps are bursts that 19 of 20 tokens come as fast as if there were none."""


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


class TokenCosts:
    """Learns what a token of prefill costs, by its depth: how many tokens lie before it."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def observe(self, depth: int, seconds: float) -> None:
        """Take note of what each token of a chunk took that began at this depth."""
        place = depth // _DEPTH_CLASS
        before = self._seconds.get(place, seconds)
        self._seconds[place] = before + _SMOOTHING * (seconds - before)

    def seconds(self, depth: int) -> float | None:
        """What a token should cost: what it did at this depth, or at the deepest one before that is known."""
        place = depth // _DEPTH_CLASS
        return self._seconds.get(max((known for known in self._seconds if known <= place), default=-1))


class Pacer:
    """Sizes chunks of prefill beside running completions by what steps cost.

    Small chunks in every step are the smoothest. But llama.cpp computes the attention of fewer than 64 rows at a time
    in another way, which takes up to three times as long deep in a prompt. Where that shows, chunks come in bursts with
    steps of decoding alone between them: about half of the time goes to the prompt either way.
    """

    def __init__(self, most_tokens: int) -> None:
        self.costs = StepCosts()
        self._most_tokens = most_tokens
        self._small, self._large = TokenCosts(), TokenCosts()
        self._pause = 0

    def observe(self, decoded: int, prefilled: int, depth: int, seconds: float, *, delayed: int = 0) -> None:
        """Take note of a step.

        Args:
            decoded: how many rows of running completions it had.
            prefilled: how many rows of prompts.
            depth: where the deepest of the latter began.
            seconds: how long it took.
            delayed: how many rows of other completions had to wait for it.
        """
        self._pause = max(0, self._pause - 1)
        if decoded == 0 or prefilled == 0:
            self.costs.observe(decoded + prefilled, seconds)
        if prefilled == 0 or (alone := self._alone(decoded)) is None:
            return
        spent = max(seconds - alone, 0.0)
        is_large = decoded + prefilled >= _EFFICIENT_ROWS
        (self._large if is_large else self._small).observe(depth, spent / prefilled)
        if is_large and (decoded or delayed):
            usual = self._alone(decoded + delayed)
            steps = spent / usual if usual else 0.0
            self._pause = int(min(max(_STEPS_BETWEEN_BURSTS, steps), 10 * _STEPS_BETWEEN_BURSTS))

    def prefill_tokens(self, decoding: int, depth: int = 0) -> int:
        """The most tokens of prefill, at this depth, that the next step should have beside so many rows of others."""
        if not decoding:
            return self._most_tokens
        alone = self._alone(decoding)
        token = self._small.seconds(depth) or self._large.seconds(depth)
        if alone is None or token is None:
            return min(_FIRST_GUESS, self._most_tokens)
        affordable = int((max(_STRETCH * alone, _UNNOTICED) - alone) / max(token, 1e-9))
        return max(_FEWEST_TOKENS, min(affordable, self._most_tokens))

    def prefers_bursts(self, depth: int) -> bool:
        """Whether prefill at this depth should come in bursts."""
        small, large = self._small.seconds(depth), self._large.seconds(depth) or self._small.seconds(0)
        return small is not None and large is not None and small > _CLIFF * large

    def burst_tokens(self, decoding: int, depth: int) -> int:
        """The tokens of prefill in the next step if they come in bursts: 0 between two of them."""
        if self._pause:
            return 0
        alone, token = self._alone(decoding), self._large.seconds(depth) or self._small.seconds(depth)
        wanted = int(_STEPS_BETWEEN_BURSTS * alone / token) if alone and token else 0
        return max(_EFFICIENT_ROWS, min(wanted, _LONGEST_BURST, self._most_tokens))

    def _alone(self, decoding: int) -> float | None:
        """How long a step with so many rows of completions takes without prefill."""
        if decoding == 0:
            return 0.0
        seconds = self.costs.seconds(decoding)
        return None if seconds is None else float(seconds[-1])
