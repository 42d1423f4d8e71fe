"""Sequences: completions in progress."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ponant.engine.base import Delta, FinishReason, Sampling, TokenLogprobs
from ponant.engine.llama.drafting import Drafter
from ponant.engine.llama.grammar import Grammar

WAITING = -1
UNIFORMS_PER_TOKEN = 8
_TOKENS_PREPARED_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Draw:
    """Drawn token with the requested log-probabilities."""

    token: int
    logprobs: TokenLogprobs | None = None


class TokenCounts:
    """Number of times that each token was generated, as arrays for the computation of penalties."""

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
        """Undo the count of a token."""
        self._times[self._places[token]] -= 1

    def present(self) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return the counted tokens and their counts, each of shape (number of counted tokens,)."""
        used = len(self._places)
        counted = np.flatnonzero(self._times[:used])
        return self._tokens[counted], self._times[counted]


class Sequence:
    """One completion with its prompt.

    Attributes:
        request_id: id of the request.
        choice: index of the choice in the request.
        tokens: tokens of the prompt and of the completion.
        prompt_length: number of ``tokens`` that are the prompt.
        limit: length of ``tokens`` at which the completion is cut.
        limit_reason: reason of that end.
        computed: number of ``tokens`` with keys and values in the KV cache.
        slot: slot in the KV cache; ``WAITING`` for none.
        entered: the sequence has left the queue at least once.
        repeatable: an idle engine must draw the same tokens again, independent of what it computed in between.
        cached_tokens: number of the prompt's tokens that were reused instead of computed.
        counts: counts of the generated tokens, if there are penalties.
        grammar: grammar of the completion, if there is one.
        unsent: tokens that the grammar forced and that no delta has had yet.
        drafter: source of draft tokens, if there is one.
        bias: tokens with the numbers to add to their logits, if there are any.
        top_logprobs: number of log-probabilities with each token; None for no log-probabilities.
        prompt_logprobs: the same for tokens of the prompt.
        scored: number of the prompt's tokens, without the first, whose log-probabilities were returned.
        adapter: id of the adapter; None for the base model.
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
        prompt_logprobs: int | None = None,
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
        self.bias = _as_arrays(sampling.logit_bias) if sampling.logit_bias else None
        self.limit = context if max_tokens is None else min(context, len(prompt) + max_tokens)
        self.drafter = drafter
        self.grammar = grammar
        self.unsent: list[int] = []
        self.top_logprobs = top_logprobs
        self.prompt_logprobs = prompt_logprobs
        self.scored = 0
        self.adapter = adapter
        self.limit_reason: FinishReason = "model_length" if max_tokens is None else "length"
        self._generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
        self._uniforms: NDArray[np.float64] = np.empty((0, UNIFORMS_PER_TOKEN))

    @property
    def generated(self) -> int:
        """Number of generated tokens."""
        return len(self.tokens) - self.prompt_length

    @property
    def remaining(self) -> int:
        """Number of tokens that must be computed before the next one can be drawn."""
        return len(self.tokens) - self.computed

    @property
    def scores(self) -> bool:
        """True if log-probabilities of the prompt remain to be returned."""
        return self.prompt_logprobs is not None and self.scored < self.prompt_length - 1

    @property
    def full(self) -> bool:
        """True if the limit is reached: no token may be appended."""
        return len(self.tokens) >= self.limit

    @property
    def greedy(self) -> bool:
        """True if the most likely token is always drawn."""
        return self.sampling.temperature == 0 or self.sampling.top_p == 0 or self.sampling.top_k == 1

    def delta(
        self,
        draws: Iterable[Draw] = (),
        end: Draw | None = None,
        finish: FinishReason | None = None,
        prompt_logprobs: list[TokenLogprobs] | None = None,
    ) -> Delta:
        """Return a delta with new tokens, and the end-of-generation token after them if there is one."""
        tokens = list(draws)
        drawn = [*tokens, end] if end else tokens
        return Delta(
            self.choice,
            [draw.token for draw in tokens],
            finish,
            self.cached_tokens,
            self.drafter.accepted if self.drafter else 0,
            self.drafter.rejected if self.drafter else 0,
            None if self.top_logprobs is None else [draw.logprobs for draw in drawn if draw.logprobs],
            prompt_logprobs,
            end.token if end else None,
        )

    def uniforms(self, index: int) -> NDArray[np.float64]:
        """Return the random numbers for a generated token, which depend on the seed and its index alone.

        Returns:
            Numbers in [0, 1), shape (``UNIFORMS_PER_TOKEN``,).
        """
        while index >= len(self._uniforms):
            more = self._generator.random((_TOKENS_PREPARED_AT_ONCE, UNIFORMS_PER_TOKEN))
            self._uniforms = np.concatenate([self._uniforms, more])
        numbers: NDArray[np.float64] = self._uniforms[index]
        return numbers

    def append(self, token: int) -> FinishReason | None:
        """Append a drawn token; returns the reason if the completion ends."""
        self.tokens.append(token)
        if self.counts is not None:
            self.counts.add(token)
        if self.drafter:
            self.drafter.observe(token)
        if self.grammar:
            self.grammar.accept(token)
            if self.grammar.failed:
                return "grammar"
            if self.grammar.done:  # complete, even if the limit is reached too
                return "stop"
        return self.limit_reason if self.full else None

    def append_forced(self) -> FinishReason | None:
        """Append the tokens that the grammar determines; returns the reason if the completion ends.

        With log-probabilities every token is drawn, as each needs its logits.
        """
        finish: FinishReason | None = None
        for token in self.grammar.forced() if self.grammar and self.top_logprobs is None else []:
            finish = self.append(token)
            self.unsent.append(token)
            if finish:
                break
        return finish


def _as_arrays(bias: Mapping[int, float]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    return np.array(list(bias), dtype=np.intp), np.array(list(bias.values()), dtype=np.float32)
