"""Drawing the next token of each sequence from the logits of a batch.

The draw is exact: an inverse of the cumulative distribution over the whole vocabulary, in two stages (a block, then a
token inside it) with one uniform random number for each. Shortlists are used for ``top_k`` and ``top_p`` alone, and
only once they are known to contain every token that can be drawn.
"""

from collections.abc import Collection
from collections.abc import Sequence as Rows

import numpy as np
from numpy.typing import NDArray

from ponant.engine.sequence import Sequence

Floats = NDArray[np.float32]

_BLOCK = 256
_SHORTLIST_THRESHOLDS = (1e-3, 1e-6, 0.0)


class Sampler:
    """Draws tokens for a model with ``vocabulary_size`` tokens, of which ``end_tokens`` end a completion."""

    def __init__(self, vocabulary_size: int, end_tokens: Collection[int]) -> None:
        self._vocabulary_size = vocabulary_size
        self._end_tokens = np.array(sorted(end_tokens), dtype=np.intp)
        self._blocks = -(-vocabulary_size // _BLOCK)

    def sample(self, logits: Floats, sequences: Rows[Sequence]) -> list[int | None]:
        """One token for each row.

        Args:
            logits: one row per sequence, (rows, vocabulary size). Changed in place.
            sequences: whose rows they are; each that is not greedy uses up a pair of its random numbers.

        Returns:
            The tokens; None for a row that has no usable distribution (NaN, or nothing above minus infinity).
        """
        for row, sequence in zip(logits, sequences, strict=True):
            self._adjust(row, sequence)
        maxima: Floats = logits.max(axis=1)
        usable = np.isfinite(maxima)
        tokens: list[int | None] = [None] * len(sequences)
        drawn: list[int] = []
        for index, sequence in enumerate(sequences):
            if not usable[index]:
                continue
            if sequence.sampling.temperature == 0 or sequence.sampling.top_p == 0 or sequence.sampling.top_k == 1:
                tokens[index] = int(logits[index].argmax())
            else:
                drawn.append(index)
        if drawn:
            rows = [sequences[index] for index in drawn]
            weights = self._weights(logits, maxima, drawn, rows)
            for index, token in zip(drawn, self._draw(weights, rows), strict=True):
                tokens[index] = token
        return tokens

    def _adjust(self, row: Floats, sequence: Sequence) -> None:
        """Apply the penalties, and hold back the end where it may not come yet."""
        sampling = sequence.sampling
        counts = sequence.generated_counts
        if counts and (
            sampling.repetition_penalty != 1 or sampling.presence_penalty != 0 or sampling.frequency_penalty != 0
        ):
            tokens = np.fromiter(counts.keys(), dtype=np.intp, count=len(counts))
            times = np.fromiter(counts.values(), dtype=np.float32, count=len(counts))
            values = row[tokens]
            if sampling.repetition_penalty != 1:
                penalty = np.float32(sampling.repetition_penalty)
                values = np.where(values > 0, values / penalty, values * penalty)
            row[tokens] = values - sampling.presence_penalty - sampling.frequency_penalty * times
        if sequence.end_held_back:
            row[self._end_tokens] = -np.inf

    def _weights(self, logits: Floats, maxima: Floats, drawn: list[int], sequences: Rows[Sequence]) -> Floats:
        """Probabilities up to a factor, (rows, blocks x block size); tokens that may not be drawn have weight 0."""
        padded = np.zeros((len(drawn), self._blocks * _BLOCK), dtype=np.float32)
        weights = padded[:, : self._vocabulary_size]
        temperatures = np.array([sequence.sampling.temperature for sequence in sequences], dtype=np.float32)
        chosen = logits if len(drawn) == len(logits) else logits[drawn]
        np.subtract(chosen, maxima[drawn, None], out=weights)
        np.divide(weights, np.maximum(temperatures, 1e-6)[:, None], out=weights)
        np.exp(weights, out=weights)
        for row, sequence in zip(weights, sequences, strict=True):
            _truncate(row, sequence.sampling.top_k, sequence.sampling.top_p)
        return padded

    def _draw(self, weights: Floats, sequences: Rows[Sequence]) -> list[int]:
        uniforms = np.array([sequence.next_uniforms() for sequence in sequences])
        blocks = weights.reshape(len(sequences), self._blocks, _BLOCK)
        by_block = np.cumsum(blocks.sum(axis=2), axis=1, dtype=np.float64)
        tokens: list[int] = []
        for row, (first, second) in enumerate(uniforms):
            block = _invert(by_block[row], first)
            within = np.cumsum(blocks[row, block], dtype=np.float64)
            tokens.append(block * _BLOCK + _invert(within, second))
        return tokens


def _invert(cumulative: NDArray[np.float64], uniform: float) -> int:
    """The first index whose cumulative weight exceeds ``uniform`` of the total: never one of weight 0."""
    total = cumulative[-1]
    index = int(np.searchsorted(cumulative, uniform * total, side="right"))
    return min(index, int(np.searchsorted(cumulative, total, side="left")))


def _truncate(weights: Floats, top_k: int, top_p: float) -> None:
    """Set to 0, in place, all but the ``top_k`` heaviest tokens and, of these, the fewest that hold ``top_p``.

    The heaviest weight is 1 (that of the most likely token).
    """
    limits_count = 0 < top_k < len(weights)
    if not limits_count and top_p >= 1:
        return
    total = float(weights.sum(dtype=np.float64))
    candidates = np.empty(0, dtype=np.intp)
    for threshold in _SHORTLIST_THRESHOLDS:
        candidates = np.flatnonzero(weights > threshold)
        mass = float(weights[candidates].sum(dtype=np.float64))
        if (limits_count and len(candidates) >= top_k) or (not limits_count and mass >= top_p * total):
            break
    order = np.argsort(-weights[candidates], kind="stable")
    if limits_count:
        order = order[:top_k]
    kept = candidates[order]
    values = weights[kept]
    if top_p < 1:
        cumulative = np.cumsum(values, dtype=np.float64)
        whole = cumulative[-1] if limits_count else total
        count = int(np.searchsorted(cumulative, top_p * whole, side="left")) + 1
        kept, values = kept[:count], values[:count]
    weights[:] = 0
    weights[kept] = values
