"""What the steps of this machine cost, and how much of a prompt may be computed beside running completions."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

_SMOOTHING = 0.2
_SMOOTHING_OF_LARGE = 0.5
"""Large chunks are rare and long: one tells more, and what an idle engine has seen is soon out of date."""
_SIZES = np.array([1, 2, 3, 5, 9, 17, 33, 64, 129, 257])
"""Where classes of steps begin, by rows. Kernels change with the number of rows, at 64 most of all."""
_EFFICIENT_ROWS = 64
"""llama.cpp computes the attention of so many rows at once, and that of fewer in a way of its own."""
_STRETCH = 1.95
"""How many times as long as a step without prefill a step with a small chunk may take. 2.5 is what is promised."""
_FEWEST_TOKENS = 4
_FIRST_GUESS = 64
_DEPTH_CLASS = 1024
_CLIFF = 1.15
"""How many times as much as in a large chunk a token in a small one must cost for bursts to be better.

Small chunks get 0.95 / 1.95 of the time. So with tokens that cost 1.15 times as much, a prompt takes 2.4 times as long
as on an idle engine, where 2.5 is what is promised; with bursts it takes twice as long, but they can be felt.
"""
_STEPS_BETWEEN_BURSTS = 22
"""Fewer than one token in twenty waits for a burst, so that 95% of them come as fast as if there were none."""
_LONGEST_BURST = 3.0
"""Seconds. Where ``_EFFICIENT_ROWS`` tokens, the fewest of a burst, take three times as long, there are no bursts."""
_SEEN_OFTEN = 5
"""Steps: so many small chunks must have been seen at some depth before they are called dear."""
_STEPS_UNTIL_ALONE = 16
"""Steps with small chunks before one without: what completions cost alone grows with them, and must be seen."""
_STEPS_UNTIL_PROBE = 40
"""Steps with small chunks of a long prompt before a large one, as small as those are: what that costs now, on a machine
that others use too, may differ from what it did on an idle engine.
"""


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

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing
        self._seconds: dict[int, float] = {}
        self._seen: Counter[int] = Counter()

    def observe(self, depth: int, seconds: float) -> None:
        """Take note of what each token of a chunk took that began at this depth."""
        place = depth // _DEPTH_CLASS
        self._seen[place] += 1
        before = self._seconds.get(place, seconds)
        self._seconds[place] = before + max(self._smoothing, 1 / self._seen[place]) * (seconds - before)

    def seconds(self, depth: int) -> float | None:
        """What a token should cost: what it did at this depth, or at the deepest one before that is known."""
        place = max((place for place in self._seconds if place <= depth // _DEPTH_CLASS), default=None)
        return None if place is None else self._seconds[place]

    def often_seen(self, depth: int) -> int | None:
        """The deepest place, no deeper than this one, that was seen so often that its costs can be trusted."""
        places = [place for place, times in self._seen.items() if times >= _SEEN_OFTEN]
        place = max((place for place in places if place <= depth // _DEPTH_CLASS), default=None)
        return None if place is None else place * _DEPTH_CLASS


class Pacer:
    """Sizes chunks of prefill beside running completions by what steps cost.

    Small chunks in every step are the smoothest. But llama.cpp computes the attention of fewer than 64 rows at a time
    in another way, which takes up to three times as long deep in a prompt. Where that shows, long prompts come in
    bursts, in steps of their own, with steps of decoding between them: about half of the time goes to the prompt either
    way. A burst has no rows of the completions, which would have to wait for it either way: so its cost is seen.
    """

    def __init__(self, most_tokens: int) -> None:
        self.costs = StepCosts()
        self._most_tokens = most_tokens
        self._small, self._large = TokenCosts(_SMOOTHING), TokenCosts(_SMOOTHING_OF_LARGE)
        self._pause = 0
        self._owed = 0.0
        self._steps_with_prefill = 0
        self._steps_since_large = 0

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
        if prefilled == 0 or decoded + delayed == 0:
            self.costs.observe(decoded + prefilled, seconds)
        self._steps_with_prefill = self._steps_with_prefill + 1 if prefilled else 0
        if prefilled == 0 or (alone := self._alone(decoded)) is None:
            return
        spent = max(seconds - alone, 0.0)
        is_large = decoded + prefilled >= _EFFICIENT_ROWS
        (self._large if is_large else self._small).observe(depth, spent / prefilled)
        self._steps_since_large = 0 if is_large else self._steps_since_large + 1
        if is_large and (decoded or delayed):
            usual = self._alone(decoded + delayed)
            steps = spent / usual if usual else 0.0
            more = steps - self._owed
            self._pause = int(min(max(_STEPS_BETWEEN_BURSTS, more), 10 * _STEPS_BETWEEN_BURSTS))
            self._owed = min(max(_STEPS_BETWEEN_BURSTS - more, 0.0), _STEPS_BETWEEN_BURSTS)

    def prefill_tokens(self, decoding: int, depth: int = 0) -> int:
        """The most tokens of prefill, at this depth, that the next step should have beside so many rows of others."""
        if not decoding:
            return self._most_tokens
        alone = self._alone(decoding)
        token = self._small.seconds(depth) or self._large.seconds(depth)
        if alone is None or token is None:
            return min(_FIRST_GUESS, self._most_tokens)
        if self._steps_with_prefill >= _STEPS_UNTIL_ALONE:
            return 0
        affordable = int((_STRETCH - 1) * alone / max(token, 1e-9))
        return max(_FEWEST_TOKENS, min(affordable, self._most_tokens))

    def prefers_bursts(self, decoding: int, depth: int, tokens: int) -> bool:
        """Whether a prompt of so many tokens should come in bursts when it has got to this depth.

        What small chunks cost is not seen again once there are bursts, so how much dearer they are is what it was at
        the deepest place where they were seen; beyond it the difference only grows. Prompts that small chunks would
        finish in about the time of a burst and the pause after it are left to these.
        """
        alone, place = self._alone(decoding), self._small.often_seen(depth)
        if alone is None or place is None:
            return False
        small, large = self._small.seconds(place), self._large.seconds(place) or self._small.seconds(0)
        large_here = self._large.seconds(depth) or large
        if not small or not large or not large_here or _EFFICIENT_ROWS * large_here > 3 * _LONGEST_BURST:
            return False
        small_here = small * large_here / large
        is_dear = small > _CLIFF * large or _FEWEST_TOKENS * small_here > (_STRETCH - 1) * alone
        return (is_dear or self._probes) and tokens * small_here > _STEPS_BETWEEN_BURSTS * alone

    def burst_tokens(self, decoding: int, depth: int, left: int) -> int:
        """The tokens of prefill in the next step if they come in bursts: 0 between two of them.

        What the last burst took less than its time is added to this one.
        ``left`` are the tokens that prompts still have, of which too few for a burst of their own are not left over.
        """
        if self._pause:
            return 0
        alone, token = self._alone(decoding), self._large.seconds(depth) or self._small.seconds(depth)
        seconds = min((_STEPS_BETWEEN_BURSTS + self._owed) * alone, _LONGEST_BURST) if alone else 0.0
        pieces = round(min(seconds / token, self._most_tokens) / _EFFICIENT_ROWS) if token and not self._probes else 1
        wanted = max(pieces, 1) * _EFFICIENT_ROWS
        return min(left if left < wanted + _EFFICIENT_ROWS else wanted, self._most_tokens)

    @property
    def _probes(self) -> bool:
        """Whether it is time to see again what a large chunk costs."""
        return self._steps_since_large >= _STEPS_UNTIL_PROBE

    def _alone(self, decoding: int) -> float | None:
        """How long a step with so many rows of completions takes without prefill."""
        if decoding == 0:
            return 0.0
        seconds = self.costs.seconds(decoding)
        return None if seconds is None else float(seconds[-1])
