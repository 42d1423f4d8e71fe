"""Log-probabilities of tokens, as the API writes them."""

from collections.abc import Iterable

from ponant.api.chat import ChoiceLogprobs, TokenLogprob, TopLogprob
from ponant.engine.base import TokenLogprobs
from ponant.prompts.vocabulary import Vocabulary

_LOWEST = -9999.0
"""Stands for minus infinity, which JSON cannot write."""


def choice_logprobs(vocabulary: Vocabulary, tokens: Iterable[int], logprobs: Iterable[TokenLogprobs]) -> ChoiceLogprobs:
    """The wire type for these tokens, each with its log-probabilities."""

    def wire(token: int, logprob: float) -> TopLogprob:
        piece = vocabulary.piece(token) or vocabulary.text(token).encode()
        return TopLogprob(token=piece.decode("utf-8", "replace"), logprob=max(logprob, _LOWEST), bytes=list(piece))

    return ChoiceLogprobs(
        content=[
            TokenLogprob(
                **wire(token, known.logprob).model_dump(), top_logprobs=[wire(*likely) for likely in known.top]
            )
            for token, known in zip(tokens, logprobs, strict=True)
        ]
    )
