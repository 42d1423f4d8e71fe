"""One completion in progress."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ponant.engine.base import FinishReason, Sampling

WAITING = -1
_UNIFORMS_DRAWN_AT_ONCE = 64


class Sequence:
    """The tokens of one completion, prompt included, and how far they have been computed.

    Attributes:
        request_id, choice: whose completion this is.
        tokens: the prompt and what was generated after it.
        prompt_length: how many of ``tokens`` are the prompt.
        limit: the length of ``tokens`` at which the completion is cut.
        computed: how many of ``tokens`` have their keys and values in the KV cache.
        slot: the place in the KV cache, ``WAITING`` while there is none.
        entered: whether it has ever left the queue.
        reuse: whether it may begin with what was computed for other requests.
        reused: how many of the prompt's tokens were not computed for this sequence but taken over.
        generated_counts: how often each token was generated, for the penalties.
    """

    def __init__(
        self,
        request_id: int,
        choice: int,
        prompt: list[int],
        *,
        seed: int,
        sampling: Sampling,
        max_tokens: int | None,
        min_tokens: int,
        context: int,
        reuse: bool = True,
    ) -> None:
        self.request_id = request_id
        self.choice = choice
        self.tokens = list(prompt)
        self.prompt_length = len(prompt)
        self.sampling = sampling
        self.min_tokens = min_tokens
        self.computed = 0
        self.entered = False
        self.reuse = reuse
        self.reused = 0
        self.slot = WAITING
        self.generated_counts: Counter[int] = Counter()
        self.limit = context if max_tokens is None else min(context, len(prompt) + max_tokens)
        self._limit_reason: FinishReason = "model_length" if max_tokens is None else "length"
        self._generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
        self._uniforms: NDArray[np.float64] = np.empty((0, 2))
        self._uniforms_used = 0

    @property
    def generated(self) -> int:
        """How many tokens were generated so far."""
        return len(self.tokens) - self.prompt_length

    @property
    def remaining(self) -> int:
        """How many tokens must be computed before the next one can be drawn."""
        return len(self.tokens) - self.computed

    @property
    def end_held_back(self) -> bool:
        """Whether the model may not end the completion yet."""
        return self.generated < self.min_tokens

    def next_uniforms(self) -> NDArray[np.float64]:
        """Two random numbers in [0, 1) for the next token; they depend on the seed and the position alone."""
        if self._uniforms_used == len(self._uniforms):
            self._uniforms = self._generator.random((_UNIFORMS_DRAWN_AT_ONCE, 2))
            self._uniforms_used = 0
        pair: NDArray[np.float64] = self._uniforms[self._uniforms_used]
        self._uniforms_used += 1
        return pair

    def append(self, token: int) -> FinishReason | None:
        """Take a drawn token; returns why the completion is over, if it is."""
        self.tokens.append(token)
        self.generated_counts[token] += 1
        return self._limit_reason if len(self.tokens) >= self.limit else None
