"""The Mistral API as it is to the letter, and as some of its clients know it."""

from collections.abc import Iterable

from ponant.api.chat import ChatCompletionRequest, CompletionChunk
from ponant.server.dialects.base import Answers, Dialect, Json, TranslatedAnswers
from ponant.server.dialects.table import KEPT, Rule, Table, refused

_MORE = ("top_k", "min_tokens", "repetition_penalty", "logprobs", "top_logprobs", "safe_mode")
"""Fields that are taken here although the API refuses them."""


def _strict_chat() -> Table:
    rules: dict[str, Rule] = dict.fromkeys(ChatCompletionRequest.model_fields, KEPT)
    rules |= dict.fromkeys(_MORE, refused("the Mistral API does not have it, and this server is strict"))
    return Table(rules, shared=frozenset(rules))


STRICT = Dialect("mistral", {"/v1/chat/completions": _strict_chat()})
"""The Mistral API without the fields that are taken beyond it."""


class _EarlyAnswers(TranslatedAnswers):
    """Answers with the finish reasons that early clients have."""

    def response(self, response: Json) -> Json:
        for choice in response.get("choices", []):
            _known_finish(choice)
        return response

    def chunk(self, chunk: Json) -> list[Json]:
        for choice in chunk["choices"]:
            _known_finish(choice)
        return [chunk]


def _known_finish(choice: Json) -> None:
    if choice["finish_reason"] == "model_length":
        choice["finish_reason"] = "length"


EARLY_MISTRAL = Dialect("mistral", {}, lambda _: _EarlyAnswers(), calls="together")
"""The Mistral API for the versions of its client before 1, which know fewer values."""
WHOLE_CALLS = Dialect("mistral", {}, calls="together")
"""The Mistral API for clients that take every piece of a streamed call for a call."""


class _NamedPieces(Answers):
    """Every piece of a streamed call has the id of its call."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, int], str] = {}

    def events(self, chunk: CompletionChunk) -> Iterable[bytes]:
        for choice in chunk.choices:
            for piece in choice.delta.tool_calls or []:
                piece.id = self._ids.setdefault((choice.index, piece.index), piece.id)
        return super().events(chunk)


NAMED_PIECES = Dialect("mistral", {}, lambda _: _NamedPieces())
"""The Mistral API for LangChain's `langchain-mistralai`, which takes a piece without an id for another call."""
