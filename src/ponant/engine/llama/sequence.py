"""One completion in progress."""

import numpy as np
from numpy.typing import NDArray

from ponant.engine.base import FinishReason, Sampling
from ponant.engine.llama.drafting import Drafter
from ponant.engine.llama.grammar import Grammar

WAITING = -1
UNIFORMS_PER_TOKEN = 8
_TOKENS_PREPARED_AT_ONCE = 64


class TokenCounts:
    """How often each token was generated, in arrays that penalties can be computed from."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._tokens = np.zeros(_TOKENS_PREPARED_AT_ONCE, dtype=np.intp)
        self._times = np.zeros(_TOKENS_PREPARED_AT_ONCE, dtype=np.float32)

    def add(self, token: int) -> None:
        """Count a token."""
        place = self._places.setdefault(token, len(self._places))
        if place == len(self._tokens):
            self._tokens = np.concatenate([self._tokens, np.zeros_like(self._tokens)])
            self._times = np.concatenate([self._times, np.zeros_like(self._times)])
        self._tokens[place] = token
        self._times[place] += 1

    def remove(self, token: int) -> None:
        """Take back that a token was counted."""
        self._times[self._places[token]] -= 1

    def present(self) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The tokens that were counted, and how often."""
        used = len(self._places)
        counted = np.flatnonzero(self._times[:used])
        return self._tokens[counted], self._times[counted]


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
        repeatable: whether an idle engine must give the same tokens again, whatever it computed in between.
        cached_tokens: how many of the prompt's tokens were not computed for this sequence but taken over.
        counts: how often each token was generated, if there are penalties.
        grammar: what the generated tokens must follow, if anything.
        unsent: tokens that were generated without being drawn and that nobody was told of yet.
        drafter: guesses the tokens to come, if there is anything to guess from.
        top_logprobs: how many log-probabilities go with each token, None for none at all.
        adapter: the id of the adapter that it is computed with, None for the model as it is.
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
        repeatable: bool = False,
        drafter: Drafter | None = None,
        grammar: Grammar | None = None,
        top_logprobs: int | None = None,
        adapter: str | None = None,
    ) -> None:
        self.request_id = request_id
        self.choice = choice
        self.tokens = list(prompt)
        self.prompt_length = len(prompt)
        self.sampling = sampling
        self.min_tokens = min_tokens
        self.computed = 0
        self.entered = False
        self.repeatable = repeatable
        self.cached_tokens = 0
        self.slot = WAITING
        self.counts = TokenCounts() if sampling.penalizes else None
        self.limit = context if max_tokens is None else min(context, len(prompt) + max_tokens)
        self.drafter = drafter
        self.grammar = grammar
        self.unsent: list[int] = []
        self.top_logprobs = top_logprobs
        self.adapter = adapter
        self._limit_reason: FinishReason = "model_length" if max_tokens is None else "length"
        self._generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
        self._uniforms: NDArray[np.float64] = np.empty((0, UNIFORMS_PER_TOKEN))

    @property
    def generated(self) -> int:
        """How many tokens were generated so far."""
        return len(self.tokens) - self.prompt_length

    @property
    def remaining(self) -> int:
        """How many tokens must be computed before the next one can be drawn."""
        return len(self.tokens) - self.computed

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is always taken."""
        return self.sampling.temperature == 0 or self.sampling.top_p == 0 or self.sampling.top_k == 1

    def uniforms(self, index: int) -> NDArray[np.float64]:
        """The random numbers in [0, 1) for the generated token of this index: they depend on the seed and it alone."""
        while index >= len(self._uniforms):
            more = self._generator.random((_TOKENS_PREPARED_AT_ONCE, UNIFORMS_PER_TOKEN))
            self._uniforms = np.concatenate([self._uniforms, more])
        numbers: NDArray[np.float64] = self._uniforms[index]
        return numbers

    def append(self, token: int) -> FinishReason | None:
        """Take a drawn token; returns why the completion is over, if it is."""
        self.tokens.append(token)
        if self.counts is not None:
            self.counts.add(token)
        if self.drafter:
            self.drafter.observe(token)
        if self.grammar:
            self.grammar.accept(token)
            if self.grammar.failed:
                return "error"
            if self.grammar.done:  # nothing is missing, even where there is no room for more
                return "stop"
        return self._limit_reason if len(self.tokens) >= self.limit else None

    def append_forced(self) -> FinishReason | None:
        """Append the tokens that the grammar leaves no choice about; returns why the completion is over, if it is.

        Where log-probabilities are wanted all tokens are drawn, so that each has its logits.
        """
        finish: FinishReason | None = None
        for token in self.grammar.forced() if self.grammar and self.top_logprobs is None else []:
            finish = self.append(token)
            self.unsent.append(token)
            if finish:
                break
        return finish
