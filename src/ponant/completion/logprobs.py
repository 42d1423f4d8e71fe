"""Log-probabilities of tokens as the API writes them."""

from collections.abc import Sequence
from typing import Any

from ponant.api.chat import TokenLogprob, TopLogprob
from ponant.engine.base import TokenLogprobs
from ponant.prompts.chat.prompt import Prompt
from ponant.prompts.text_places import TextPlaces
from ponant.prompts.vocabulary import Vocabulary

_LOWEST = -9999.0
"""Stands for minus infinity, which JSON cannot write."""


class PromptLogprobs:
    """Log-probabilities of a prompt's tokens, as the engine returns them."""

    def __init__(self, vocabulary: Vocabulary, prompt: Prompt) -> None:
        """Start without any; in an echoed prompt with the first token, whose log-probability stands for none.

        Args:
            vocabulary: spells the tokens.
            prompt: the prompt.
        """
        self._vocabulary = vocabulary
        self._tokens = prompt.tokens
        self._places = prompt.places
        self._known = 1
        self.content: list[TokenLogprob] = []
        if self._places:
            self.content += token_logprobs(vocabulary, self._tokens[:1], [TokenLogprobs(0.0, [])])
            self.content[0].text_offset = self._places[0]

    @property
    def complete(self) -> bool:
        """True if all tokens have theirs."""
        return self._known >= len(self._tokens)

    def push(self, logprobs: Sequence[TokenLogprobs]) -> None:
        """Add those of the next tokens."""
        known = slice(self._known, self._known + len(logprobs))
        self._known += len(logprobs)
        self.content += token_logprobs(self._vocabulary, self._tokens[known], logprobs)
        for token, place in zip(self.content[known], self._places[known], strict=False):
            token.text_offset = place


def token_logprobs(
    vocabulary: Vocabulary, tokens: Sequence[int], logprobs: Sequence[TokenLogprobs], places: TextPlaces | None = None
) -> list[TokenLogprob]:
    """Return the wire types of tokens with their log-probabilities; none if there are no log-probabilities.

    ``places`` locates the tokens in a text completion.
    """
    if not logprobs:
        return []
    # Validation would take longer than the computation.
    written = [
        TokenLogprob.model_construct(
            **_spelled(vocabulary, token),
            logprob=_writable(known.logprob),
            top_logprobs=[
                TopLogprob.model_construct(**_spelled(vocabulary, likely), logprob=_writable(logprob))
                for likely, logprob in known.top
            ],
        )
        for token, known in zip(tokens, logprobs, strict=True)
    ]
    if places:
        for token, entry in zip(tokens, written, strict=True):
            entry.text_offset = places.place(vocabulary.piece(token))
    return written


def _spelled(vocabulary: Vocabulary, token: int) -> dict[str, Any]:
    piece = vocabulary.piece(token) or vocabulary.text(token).encode()
    return {"token": _spelling(piece), "bytes": list(piece), "token_id": token}


def _spelling(piece: bytes) -> str:
    """Return the text of a token; of one that is no text, its bytes, as different tokens must not look the same."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


def _writable(logprob: float) -> float:
    return logprob if logprob > _LOWEST else _LOWEST  # NaN, too
