"""The Mistral API, strict, and in variants for some of its clients."""

from collections.abc import Iterable

from ponant.api.chat import ChatCompletionRequest, CompletionChunk
from ponant.server.dialects.base import Answers, Dialect, Json, TranslatedAnswers
from ponant.server.dialects.table import KEPT, Rule, Table, refused

_MORE = ("top_k", "min_tokens", "repetition_penalty", "logprobs", "top_logprobs", "safe_mode")
"""Fields that this server accepts although the API refuses them."""


def _strict_chat() -> Table:
    rules: dict[str, Rule] = dict.fromkeys(ChatCompletionRequest.model_fields, KEPT)
    rules |= dict.fromkeys(_MORE, refused("the Mistral API does not have it, and this server is strict"))
    return Table(rules, shared=frozenset(rules))


STRICT = Dialect("mistral", {"/v1/chat/completions": _strict_chat()})
"""The Mistral API without additional fields."""


class _EarlyAnswers(TranslatedAnswers):
    """Writer of answers with the finish reasons that early clients accept."""

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
"""The Mistral API for its client before version 1, which accepts fewer values."""
WHOLE_CALLS = Dialect("mistral", {}, calls="together")
"""The Mistral API for clients that parse every piece of a streamed call as a call."""


class _NamedPieces(Answers):
    """Writer of streams whose pieces of a call all have the call's id."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, int], str] = {}

    def events(self, chunk: CompletionChunk) -> Iterable[bytes]:
        for choice in chunk.choices:
            for piece in choice.delta.tool_calls or []:
                piece.id = self._ids.setdefault((choice.index, piece.index), piece.id)
        return super().events(chunk)


NAMED_PIECES = Dialect("mistral", {}, lambda _: _NamedPieces())
"""The Mistral API for LangChain's `langchain-mistralai`, which parses a piece without an id as another call."""
