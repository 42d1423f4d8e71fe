"""Log-probabilities of tokens as the API writes them."""

from collections.abc import Sequence

from ponant.api.chat import TokenLogprob, TopLogprob
from ponant.engine.base import TokenLogprobs
from ponant.prompts.vocabulary import Vocabulary

_LOWEST = -9999.0
"""Stands for minus infinity, which JSON cannot write."""


def token_logprobs(
    vocabulary: Vocabulary, tokens: Sequence[int], logprobs: Sequence[TokenLogprobs]
) -> list[TokenLogprob]:
    """Return the wire types of tokens with their log-probabilities; none if there are no log-probabilities."""
    if not logprobs:
        return []

    def wire(token: int, logprob: float) -> TopLogprob:
        piece = vocabulary.piece(token) or vocabulary.text(token).encode()
        return TopLogprob(token=piece.decode("utf-8", "replace"), logprob=max(logprob, _LOWEST), bytes=list(piece))

    return [
        TokenLogprob(**wire(token, known.logprob).model_dump(), top_logprobs=[wire(*likely) for likely in known.top])
        for token, known in zip(tokens, logprobs, strict=True)
    ]
