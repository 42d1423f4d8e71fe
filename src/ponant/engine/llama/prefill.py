"""Prefill policies: how many tokens of prompts are computed in a step, and whether completions advance in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from ponant.engine.llama.sequence import Sequence
from ponant.engine.llama.step_costs import EFFICIENT_ROWS, StepCosts, StepTime

_STRETCH = 1.95
"""Duration of a step with a small chunk, as a multiple of one without prefill. The documented limit is 2.5."""
_FEWEST_TOKENS = 4
_FIRST_GUESS = 64
_STEPS_UNTIL_ALONE = 16
"""Steps with prefill before one without: the duration of pure decoding grows, so it must be measured again."""
_CLIFF = 1.15
"""Cost of a token in a small chunk, as a multiple of that in a large one, from which on bursts are better.

Small chunks get 0.95 / 1.95 of the time. So with tokens that cost 1.15 times as much, a prompt takes 2.4 times as long
as on an idle engine, where the documented limit is 2.5. With bursts it takes twice as long, but they are noticeable.
"""
_STEPS_BETWEEN_BURSTS = 22
"""Fewer than one token in twenty waits for a burst, so the 95th percentile of the gaps is that without prefill."""
_LONGEST_BURST = 3.0
"""Seconds. There are no bursts where the smallest one, ``EFFICIENT_ROWS`` tokens, would take three times as long."""
_STEPS_UNTIL_PROBE = 40
"""Steps with small chunks of a long prompt before a large one of ``EFFICIENT_ROWS`` tokens.

It measures the cost of large chunks again, which may have changed on a machine with other programs.
"""


@dataclass(frozen=True, slots=True)
class PrefillPlan:
    """Prefill of the next step.

    Attributes:
        tokens: sequences whose prompts are computed, each with its number of tokens.
        decodes: True if running completions get their next tokens in the same step.
    """

    tokens: list[tuple[Sequence, int]]
    decodes: bool = True


class PrefillPolicy(Protocol):
    """Divides the engine's time between running completions and new prompts."""

    def plan(self, decoding: int, prefilling: list[Sequence], *, room: int) -> PrefillPlan:
        """Choose the prefill of the next step.

        Args:
            decoding: rows of running completions that are computed in the step or wait for it.
            prefilling: sequences whose prompts are not computed yet, in the order of entry.
            room: most tokens of prompts in a step that also decodes.
        """
        ...

    def observe(self, step: StepTime) -> None:
        """Adapt to a step that was computed. ``StepCosts`` has learned from it before."""
        ...


class SteadyPrefill:
    """Adds a small chunk of prompts to every step that decodes. The plain policy.

    The chunk is as large as a step of ``_STRETCH`` times the duration of pure decoding permits, by the measured cost of
    a token at the prompt's depth, but never smaller than ``_FEWEST_TOKENS``: about half of the time goes to prompts.
    Completions advance in every step, so their tokens arrive at an even rate.

    Before anything is measured a chunk has ``_FIRST_GUESS`` tokens. After ``_STEPS_UNTIL_ALONE`` steps one comes
    without prefill, to measure the duration of pure decoding again. When nothing decodes, the chunk fills the batch.
    """

    def __init__(self, costs: StepCosts, most_tokens: int) -> None:
        """Size chunks of at most ``most_tokens`` tokens by ``costs``."""
        self._costs = costs
        self._most_tokens = most_tokens
        self._steps_with_prefill = 0

    def plan(self, decoding: int, prefilling: list[Sequence], *, room: int) -> PrefillPlan:
        """Choose the prefill of the next step; see ``PrefillPolicy.plan``."""
        if not prefilling:
            return PrefillPlan([])
        return PrefillPlan(_divide(prefilling, min(room, self._chunk(decoding, prefilling[0].computed))))

    def observe(self, step: StepTime) -> None:
        """Count the steps with prefill."""
        self._steps_with_prefill = self._steps_with_prefill + 1 if step.prefilled else 0

    def _chunk(self, decoding: int, depth: int) -> int:
        if not decoding:
            return self._most_tokens
        alone = self._costs.alone(decoding)
        token = self._costs.small.seconds(depth) or self._costs.large.seconds(depth)
        if alone is None or token is None:
            return min(_FIRST_GUESS, self._most_tokens)
        if self._steps_with_prefill >= _STEPS_UNTIL_ALONE:
            return 0
        affordable = int((_STRETCH - 1) * alone / max(token, 1e-9))
        return max(_FEWEST_TOKENS, min(affordable, self._most_tokens))


class BurstPrefill:
    """Computes long prompts in large chunks of their own where small chunks are inefficient; else ``SteadyPrefill``.

    llama.cpp computes the attention of fewer than ``EFFICIENT_ROWS`` rows in another way, which takes up to three times
    as long deep in a prompt. Where a token in a small chunk costs more than ``_CLIFF`` times as much, long prompts come
    in bursts: a step with a large chunk and no completions, then ``_STEPS_BETWEEN_BURSTS`` steps without those prompts.

    A burst takes as long as the steps between two of them, so prompts get half of the time, as with steady prefill. If
    one takes longer the next pause is longer; if it takes less, the next burst is larger. Prompts that small chunks
    would finish in about the time of a burst and its pause, and those on machines where the smallest burst would take
    many seconds, stay with steady prefill. Bursts have no rows of completions, so their cost can be measured.
    """

    def __init__(self, costs: StepCosts, most_tokens: int) -> None:
        """Size chunks of at most ``most_tokens`` tokens by ``costs``."""
        self._costs = costs
        self._most_tokens = most_tokens
        self._steady = SteadyPrefill(costs, most_tokens)
        self._pause = 0
        self._owed = 0.0
        self._steps_since_large = 0

    def plan(self, decoding: int, prefilling: list[Sequence], *, room: int) -> PrefillPlan:
        """Choose the prefill of the next step; see ``PrefillPolicy.plan``."""
        bursting = [sequence for sequence in prefilling if decoding and self._is_for_bursts(sequence, decoding)]
        if bursting and not self._pause:
            left = sum(sequence.remaining for sequence in bursting)
            depth = max(sequence.computed for sequence in bursting)
            return PrefillPlan(_divide(bursting, self._burst(decoding, depth, left)), decodes=False)
        return self._steady.plan(decoding, [other for other in prefilling if other not in bursting], room=room)

    def observe(self, step: StepTime) -> None:
        """Set the pause after a burst, and the time that it left to the next one."""
        self._steady.observe(step)
        self._pause = max(0, self._pause - 1)
        spent = self._costs.prefill_seconds(step)
        if spent is None:
            return
        self._steps_since_large = 0 if step.is_large else self._steps_since_large + 1
        if step.is_large and (step.decoded or step.delayed):
            usual = self._costs.alone(step.decoded + step.delayed)
            steps = spent / usual if usual else 0.0
            more = steps - self._owed
            self._pause = int(min(max(_STEPS_BETWEEN_BURSTS, more), 10 * _STEPS_BETWEEN_BURSTS))
            self._owed = min(max(_STEPS_BETWEEN_BURSTS - more, 0.0), _STEPS_BETWEEN_BURSTS)

    def _is_for_bursts(self, sequence: Sequence, decoding: int) -> bool:
        """Return True if a prompt should come in bursts from its current depth on.

        Small chunks are not measured again once there are bursts. So the ratio of the costs is that of the deepest
        place where they were measured often enough; beyond it the difference only grows.
        """
        costs, depth = self._costs, sequence.computed
        alone, place = costs.alone(decoding), costs.small.often_seen(depth)
        if alone is None or place is None:
            return False
        small, large = costs.small.seconds(place), costs.large.seconds(place) or costs.small.seconds(0)
        large_here = costs.large.seconds(depth) or large
        if not small or not large or not large_here or EFFICIENT_ROWS * large_here > 3 * _LONGEST_BURST:
            return False
        small_here = small * large_here / large
        is_dear = small > _CLIFF * large or _FEWEST_TOKENS * small_here > (_STRETCH - 1) * alone
        uncached = len(sequence.tokens) - sequence.cached_tokens
        return (is_dear or self._probes) and uncached * small_here > _STEPS_BETWEEN_BURSTS * alone

    def _burst(self, decoding: int, depth: int, left: int) -> int:
        """Return the tokens of a burst at this depth, of ``left`` tokens in all: no remainder is too small for one."""
        alone, token = self._costs.alone(decoding), self._costs.large.seconds(depth) or self._costs.small.seconds(depth)
        seconds = min((_STEPS_BETWEEN_BURSTS + self._owed) * alone, _LONGEST_BURST) if alone else 0.0
        blocks = round(min(seconds / token, self._most_tokens) / EFFICIENT_ROWS) if token and not self._probes else 1
        wanted = max(blocks, 1) * EFFICIENT_ROWS
        return min(left if left < wanted + EFFICIENT_ROWS else wanted, self._most_tokens)

    @property
    def _probes(self) -> bool:
        """True if the cost of a large chunk should be measured again."""
        return self._steps_since_large >= _STEPS_UNTIL_PROBE


def _divide(prefilling: list[Sequence], budget: int) -> list[tuple[Sequence, int]]:
    """Divide the prefill of a step: half for the sequence that entered first, the rest for those with the least left.

    Short prompts overtake long ones, and a long one advances under any number of short ones.
    """
    return list(_parts(prefilling, budget))


def _parts(prefilling: list[Sequence], budget: int) -> Iterator[tuple[Sequence, int]]:
    if not prefilling or budget <= 0:
        return
    first, *others = prefilling
    others.sort(key=lambda sequence: sequence.remaining)
    kept_for_others = min(budget // 2, sum(sequence.remaining for sequence in others))
    length = min(first.remaining, budget - kept_for_others)
    yield first, length
    budget -= length
    for sequence in others:
        if budget <= 0:
            return
        length = min(sequence.remaining, budget)
        yield sequence, length
        budget -= length
