"""The Mistral API, strict, and in variants for some of its clients."""

from typing import Any

from ponant.api.chat import ChatCompletionRequest
from ponant.server.dialects.base import Dialect, Json, TranslatedAnswers
from ponant.server.dialects.table import KEPT, Fields, RefusedFieldError, Rule, Table, refused, translated

_MORE = ("safe_mode", "logit_bias", "ignore_eos")
"""Fields that this server accepts although neither the specification nor Mistral's newest client has them."""


def _strict_chat() -> Table:
    rules: dict[str, Rule] = dict.fromkeys(ChatCompletionRequest.model_fields, KEPT)
    rules |= dict.fromkeys(_MORE, refused("the Mistral API does not have it, and this server is strict"))
    return Table(rules, shared=frozenset(rules))


def _input(texts: Any) -> Fields:
    if isinstance(texts, list) and any(isinstance(text, int | list) for text in texts):
        raise RefusedFieldError("the Mistral API takes no token ids, and this server is strict: send text")
    return {"input": texts}


_STRICT_EMBEDDINGS = Table({"input": translated(_input, "kept; token ids are refused")})

STRICT = Dialect("mistral", {"/v1/chat/completions": _strict_chat(), "/v1/embeddings": _STRICT_EMBEDDINGS})
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


EARLY_MISTRAL = Dialect("mistral", {}, lambda _: _EarlyAnswers())
"""The Mistral API for its client before version 1, which accepts fewer values."""
