"""Sampling: draws tokens from the logits of a batch.

Every draw is exact. A shortlist is used only if it provably contains the drawn token, or with a rejection step that
accounts for the tokens outside of it.
"""

import math
from collections import abc
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ponant.engine.base import Sampling, TokenLogprobs
from ponant.engine.llama.sequence import Draw, Sequence, TokenCounts

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]

_BLOCK = 256
_LONGEST_SHORTLIST = 0.125
"""Largest useful shortlist, as a share of the vocabulary."""
_LIGHTEST_CANDIDATES = (1e-3, 1e-5, 0.0)
_LOWEST_TEMPERATURE = 1e-6


@dataclass(frozen=True, slots=True)
class Row:
    """Row of logits: those after the tokens of ``sequence`` followed by ``drafted``."""

    sequence: Sequence
    drafted: abc.Sequence[int] = ()


class Sampler:
    """Draws tokens of a model with ``vocabulary_size`` tokens, of which ``end_tokens`` end a completion."""

    def __init__(self, vocabulary_size: int, end_tokens: abc.Collection[int]) -> None:
        self._end_tokens = np.array(sorted(end_tokens), dtype=np.intp)
        self._block_starts = np.arange(0, vocabulary_size, _BLOCK)

    def sample(self, logits: Floats, rows: abc.Sequence[Row]) -> list[Draw | None]:
        """Draw a token for each row.

        Args:
            logits: float32, shape (rows, vocabulary size). Changed in place.
            rows: sequences and drafts of the rows.

        Returns:
            One draw per row; None for a row without a usable distribution (NaN, or nothing above minus infinity).
        """
        draws: list[Draw | None] = []
        for values, row in zip(logits, rows, strict=True):
            top = row.sequence.top_logprobs
            unchanged = None if top is None else values.copy()
            token = self._draw(values, row)
            if token is None:
                draws.append(None)
            else:
                draws.append(Draw(token, None if unchanged is None else log_probabilities(unchanged, token, top or 0)))
        return draws

    def _draw(self, logits: Floats, row: Row) -> int | None:
        sequence = row.sequence
        sampling = sequence.sampling
        if sequence.bias is not None:
            tokens, added = sequence.bias
            logits[tokens] += added
        if sequence.grammar is not None:
            sequence.grammar.mask(logits)
        if sequence.counts is not None:
            _penalize(logits, sequence.counts, row.drafted, sampling)
        position = sequence.generated + len(row.drafted)
        if position < sequence.min_tokens:
            self._forbid_end(logits, unless_only=sequence.grammar is not None)
        if sequence.greedy:
            best = int(logits.argmax())
            return best if math.isfinite(logits[best]) else None
        largest = float(logits.max())
        if not math.isfinite(largest):
            return None
        uniforms = sequence.uniforms(position)
        temperature = max(sampling.temperature, _LOWEST_TEMPERATURE)
        if 0 < sampling.top_k < len(logits):
            candidates = _holding_top_k(logits, sampling.top_k)
            weights = _weights(logits[candidates], largest, temperature)
            kept = _heaviest(weights, sampling.top_k, sampling.top_p, None)
            return int(candidates[kept[_invert(weights[kept], uniforms[0])]])
        if sampling.top_p < 1:
            return _draw_top_p(_weights(logits, largest, temperature), sampling.top_p, uniforms[0])
        token = _draw_from_shortlist(logits, largest, temperature, uniforms[:-2])
        if token is not None:
            return token
        return self._draw_from_all(_weights(logits, largest, temperature), uniforms[-2], uniforms[-1])

    def _forbid_end(self, logits: Floats, *, unless_only: bool) -> None:
        """Exclude the end-of-generation tokens; with ``unless_only``, not if nothing else is allowed."""
        ends = logits[self._end_tokens]
        logits[self._end_tokens] = -np.inf
        if unless_only and not np.isfinite(logits).any():
            logits[self._end_tokens] = ends

    def _draw_from_all(self, weights: Floats, first: float, second: float) -> int:
        """Invert the cumulative distribution in two stages: a block of the vocabulary, then a token in it."""
        block = _invert(np.add.reduceat(weights, self._block_starts), first)
        return block * _BLOCK + _invert(weights[block * _BLOCK : (block + 1) * _BLOCK], second)


def score(logits: Floats, tokens: abc.Sequence[int], top: int) -> list[TokenLogprobs]:
    """Return the log-probabilities of tokens, each in a row of logits.

    Args:
        logits: float32, shape (number of tokens, vocabulary size).
        tokens: token ids.
        top: number of most likely tokens for each row.
    """
    return [log_probabilities(row, token, top) for row, token in zip(logits, tokens, strict=True)]


def _holding_top_k(logits: Floats, count: int) -> Indices:
    """Return a set of tokens that contains the ``count`` likeliest ones, in ascending order."""
    # The largest logits of all blocks belong to different tokens, so the count-th of them is a lower bound.
    starts = np.arange(0, len(logits), _BLOCK)
    largest = np.maximum.reduceat(logits, starts) if count <= len(starts) else logits
    bound = np.partition(largest, len(largest) - count)[len(largest) - count]
    holding: Indices = (logits >= bound).nonzero()[0]
    return holding


def log_probabilities(logits: Floats, token: int, top: int) -> TokenLogprobs:
    """Return the log-probabilities of a token and of the ``top`` most likely ones, from the model's own logits."""
    largest = float(logits.max())
    if not math.isfinite(largest):
        return TokenLogprobs(-math.inf, [])
    total = largest + math.log(float(np.exp(logits - largest).sum(dtype=np.float64)))
    likeliest = _holding_top_k(logits, min(top, len(logits))) if top else np.empty(0, dtype=np.intp)
    likeliest = likeliest[np.lexsort((likeliest, -logits[likeliest]))][:top]
    return TokenLogprobs(
        float(logits[token]) - total, [(int(other), float(logits[other]) - total) for other in likeliest]
    )


def _penalize(logits: Floats, counts: TokenCounts, drafted: abc.Sequence[int], sampling: Sampling) -> None:
    """Apply the penalties for generated and drafted tokens."""
    for token in drafted:
        counts.add(token)
    tokens, times = counts.present()
    for token in drafted:
        counts.remove(token)
    values = logits[tokens]
    if sampling.repetition_penalty != 1:
        penalty = np.float32(sampling.repetition_penalty)
        values = np.where(values > 0, values / penalty, values * penalty)
    logits[tokens] = values - np.float32(sampling.presence_penalty) - np.float32(sampling.frequency_penalty) * times


def _weights(logits: Floats, largest: float, temperature: float) -> Floats:
    """Return unnormalised probabilities, with weight 1 for the logit ``largest``."""
    weights: Floats = logits - np.float32(largest)
    weights /= np.float32(temperature)
    return np.exp(weights, out=weights)


def _draw_from_shortlist(logits: Floats, largest: float, temperature: float, uniforms: Doubles) -> int | None:
    """Draw by rejection from a distribution that bounds the true one, with one of ``uniforms`` per attempt.

    The bound is the true weight for tokens of the shortlist, and 1 / vocabulary size for each other token, which is at
    least its true weight. These others weigh as much as the likeliest token together, so each attempt hits the
    shortlist with a probability of at least one half.

    Returns:
        The token; None if all attempts fail or the shortlist is too long, and another method must be used.
    """
    size = len(logits)
    listed = logits >= np.float32(largest - math.log(size) * temperature)
    if np.count_nonzero(listed) > size * _LONGEST_SHORTLIST:
        return None
    shortlist = listed.nonzero()[0]
    cumulative = _weights(logits[shortlist], largest, temperature).cumsum(dtype=np.float64)
    total = float(cumulative[-1])
    for uniform in uniforms.tolist():
        point = uniform * (total + 1)
        if point < total:
            return int(shortlist[cumulative.searchsorted(point, side="right")])
        # Each token has an interval of 1 / size in the rest, of which its true weight is accepted.
        place = (point - total) * size
        token = min(int(place), size - 1)
        weight = math.exp((float(logits[token]) - largest) / temperature)
        if not listed[token] and place - token < weight * size:
            return token
    return None


def _draw_top_p(weights: Floats, top_p: float, uniform: float) -> int:
    """Draw from the fewest of the heaviest tokens that have ``top_p`` of the total weight."""
    wanted = top_p * float(weights.sum())
    candidates: Indices = np.empty(0, dtype=np.intp)
    for lightest in _LIGHTEST_CANDIDATES:
        candidates = (weights > lightest).nonzero()[0]
        if float(weights[candidates].sum(dtype=np.float64)) >= wanted:
            break
    values = weights[candidates]
    kept = _heaviest(values, len(values), 1.0, wanted)
    return int(candidates[kept[_invert(values[kept], uniform)]])


def _heaviest(weights: Floats, count: int, top_p: float, wanted: float | None) -> Indices:
    """Return the indices of the ``count`` heaviest weights, or of the fewest of them whose sum is ``wanted``.

    ``wanted`` None stands for ``top_p`` of their sum. Of equal weights the first ones are taken.
    """
    descending = np.sort(weights)[::-1][:count]
    if wanted is not None or top_p < 1:
        cumulative = descending.cumsum(dtype=np.float64)
        limit = top_p * float(cumulative[-1]) if wanted is None else wanted
        count = min(int(cumulative.searchsorted(limit, side="left")) + 1, len(descending))
    lightest = descending[count - 1]
    heavier = (weights > lightest).nonzero()[0]
    return np.concatenate([heavier, (weights == lightest).nonzero()[0][: count - len(heavier)]])


def _invert(weights: Floats, uniform: float) -> int:
    """Return the first index whose cumulative weight exceeds ``uniform`` of the total, never one of weight 0."""
    cumulative = weights.cumsum(dtype=np.float64)
    total = cumulative[-1]
    index = int(cumulative.searchsorted(uniform * total, side="right"))
    return min(index, int(cumulative.searchsorted(total, side="left")))
