"""NVIDIA NIM's dialect: OpenAI's chat completions with other limits and defaults."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from ponant.api.chat import ChatCompletionRequest
from ponant.server.dialects.base import Answers, Dialect, DialectExchange, Json
from ponant.server.dialects.openai import CHAT, CHAT_RULES, is_model
from ponant.server.dialects.openai_answers import ChatAnswers, ModelAnswers, OpenAIAnswers
from ponant.server.dialects.table import KEPT, Rule, Table, checked

_Share = Annotated[float, Field(ge=0, le=1)]
_Penalty = Annotated[float, Field(ge=-2, le=2)]

DEFAULTS: Mapping[str, Any] = {
    "model": "mistralai/mistral-7b-instruct-v0.2",
    "max_tokens": 1024,
    "stream": False,
    "temperature": 0.3,
    "top_p": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "random_seed": 0,
}
"""Values of the Mistral API's fields that a request does not have."""

RULES: dict[str, Rule] = {
    "model": Rule("kept; `mistralai/mistral-7b-instruct-v0.2` by default", KEPT.translate),
    "max_tokens": checked(Annotated[int, Field(ge=1)], "kept; at least 1, 1024 by default"),
    "stream": checked(bool, "kept; `false` by default"),
    "temperature": checked(_Share, "kept; 0 to 1, 0.3 by default"),
    "top_p": checked(_Share, "kept; 0 to 1, 1 by default"),
    "stop": KEPT,
    "frequency_penalty": checked(_Penalty, "kept; -2 to 2, 0 by default"),
    "presence_penalty": checked(_Penalty, "kept; -2 to 2, 0 by default"),
    "seed": Rule("as OpenAI's; 0 by default, so the same request gets the same answer", CHAT_RULES["seed"].translate),
    "messages": Rule("as OpenAI's; required", CHAT_RULES["messages"].translate),
}
"""Rules of the fields that NIM documents. All other fields have those of OpenAI's dialect."""


class _MistralErrors(OpenAIAnswers):
    """Writer of the Mistral API's errors, which name the fields as they were sent."""

    def error(self, status: int, body: Json) -> tuple[int, Json]:
        param = body.get("param")
        if not isinstance(param, str):
            return status, body
        sent = self._exchange.param_as_sent(param)
        message = self._exchange.text_as_sent(str(body["message"]).replace(param, sent))
        return status, body | {"param": sent, "message": message}


class _ChatAnswers(_MistralErrors, ChatAnswers):
    pass


class _ModelAnswers(_MistralErrors, ModelAnswers):
    pass


def _answers(exchange: DialectExchange) -> Answers:
    if exchange.path == CHAT:
        return _ChatAnswers(exchange)
    return _ModelAnswers(exchange) if is_model(exchange.path) else Answers()


_TABLE = Table(CHAT_RULES | RULES, frozenset(ChatCompletionRequest.model_fields), DEFAULTS)
NIM = Dialect(
    "nim",
    {CHAT: _TABLE},
    _answers,
    calls="pieces",
    any_order=True,
)
_WITHOUT_MODEL = {name: value for name, value in DEFAULTS.items() if name != "model"}
NIM_WITHOUT_MODEL = dataclasses.replace(NIM, tables={CHAT: dataclasses.replace(_TABLE, defaults=_WITHOUT_MODEL)})
"""The dialect of servers that do not have NIM's names, whose default model answers requests without a model."""
