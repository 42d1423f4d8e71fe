"""Answers and errors in OpenAI's format, translated from those of the Mistral API."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import to_json

from ponant.server.dialects.base import DialectExchange, Json, TranslatedAnswers
from ponant.server.dialects.openai_logprobs import chat_logprobs, text_logprobs

_CODES = {
    "extra_forbidden": "unknown_parameter",
    "missing": "missing_required_parameter",
    "not_supported": "unsupported_parameter",
}
_REASONS_TOLD = 3
_NOTHING: Json = {"delta": {}, "text": "", "logprobs": None}
"""Content of a choice's last chunk."""


class OpenAIAnswers(TranslatedAnswers):
    """Writer of the Mistral API's answers with OpenAI's errors."""

    def __init__(self, exchange: DialectExchange) -> None:
        """Write the answer to a request."""
        self._exchange = exchange
        self._last: Json | None = None
        self.body = exchange.body

    def error(self, status: int, body: Json) -> tuple[int, Json]:
        """Return the status and body of an error, from which clients make their exceptions."""
        detail = body.get("detail")
        if isinstance(detail, list):
            return 400, {"error": self._invalid(detail)}
        if status == 401:
            message = "The API key is missing or wrong. Send one of the server's keys: Authorization: Bearer KEY."
            return 401, {"error": _error(message, "invalid_request_error", code="invalid_api_key")}
        message, kind = str(body.get("message") or detail or ""), str(body.get("type") or "")
        read = body.get("param")
        param = self._source(read)
        if param and param != read:
            message = message.replace(str(read), param)
        message = self._exchange.text_as_sent(message)
        if kind == "invalid_model":
            return 404, {"error": _error(message, "invalid_request_error", param="model", code="model_not_found")}
        if status == 429:
            return status, {"error": _error(message, "rate_limit_error", code="rate_limit_exceeded")}
        if status >= 500:
            return status, {"error": _error(message, "server_error", code=kind)}
        code = None if kind == "invalid_request_error" else kind
        return status, {"error": _error(message, "invalid_request_error", param=param, code=code)}

    def error_event(self, status: int, error: Json) -> bytes:
        """Return the event of an error, from which clients make their exceptions."""
        return to_json(self.error(status, error)[1])

    def of_response(self, response: Mapping[str, Any], kind: str, choices: list[Json]) -> Json:
        """Return the fields that whole answers and chunks share."""
        return {
            "id": response["id"],
            "object": kind,
            "created": response["created"],
            "model": response["model"],
            "system_fingerprint": self._exchange.fingerprint,
            "choices": choices,
        }

    @property
    def includes_usage(self) -> bool:
        """True if the request asks for the usage at the end of the stream."""
        return bool((self.body.get("stream_options") or {}).get("include_usage"))

    @property
    def running_usage(self) -> bool:
        """True if the request asks for the usage so far in every chunk."""
        return bool((self.body.get("stream_options") or {}).get("continuous_usage_stats"))

    def streamed(self, chunk: Json, usage: Json | None) -> Iterable[Json]:
        """Yield the chunk, with finish reasons apart, and with the usage only if the request asks for it."""
        self._last = chunk | {"choices": [], "usage": usage}
        for event in _ends_apart(chunk):
            if self.running_usage:
                yield event | {"usage": usage}
            else:
                yield event | {"usage": None} if self.includes_usage else event

    def ending(self) -> Iterable[bytes]:
        """Return an event with the usage if the request asks for it."""
        return [to_json(self._last)] if self.includes_usage and self._last else []

    def _invalid(self, detail: list[Any]) -> Json:
        """Return the error of an invalid body."""
        params = [self._param(reason.get("loc", []), is_missing=reason.get("type") == "missing") for reason in detail]
        causes = [str(reason["msg"]).removeprefix("Value error, ") for reason in detail]
        texts = [f"{param}: {cause}" if param else cause for cause, param in zip(causes, params, strict=True)]
        reasons = list(dict.fromkeys(texts))
        more = len(reasons) - _REASONS_TOLD
        message = "; ".join(reasons[:_REASONS_TOLD]) + (f"; and {more} more" if more > 0 else "")
        kind = detail[0].get("type") if detail else None
        return _error(
            message or "The body is not valid.",
            "invalid_request_error",
            param=params[0] if params else None,
            code=_CODES.get(str(kind), "invalid_value"),
        )

    def _param(self, location: list[Any], *, is_missing: bool) -> str | None:
        """Return a location in the sent body, such as ``messages[0].content``.

        For values of several possible types, pydantic's locations contain type names, which are left out. Fields of
        queries and forms have a name only.
        """
        if location[:1] == ["query"] or (location[:1] == ["body"] and not self.body):
            return ".".join(str(step) for step in location[1:]) or None
        steps = location[1:]
        place = ""
        value: Any = self.body
        for index, step in enumerate(steps):
            is_last = index == len(steps) - 1
            if isinstance(value, list) and isinstance(step, int) and step < len(value):
                place, value = f"{place}[{step}]", value[step]
            elif isinstance(value, dict) and (step in value or (is_last and is_missing)):
                place, value = f"{place}.{step}", value.get(step)
        return place.removeprefix(".") or None

    def _source(self, param: Any) -> str | None:
        if not isinstance(param, str):
            return None
        place = param
        sent_format = self.body.get("response_format")
        if isinstance(sent_format, dict) and "schema" in sent_format:
            place = place.replace("response_format.json_schema.schema", "response_format.schema")
        return self._exchange.param_as_sent(place)


class ChatAnswers(OpenAIAnswers):
    """Writer of chat completions. Content is a text, and thinking a field of its own."""

    def response(self, response: Json) -> Json:
        """Return the translation of a whole answer."""
        choices = [
            {
                "index": choice["index"],
                "message": self._message(choice["message"]),
                "logprobs": _logprobs(choice.get("logprobs")),
                **_prompt_logprobs(choice),
                "finish_reason": self._finish(choice["finish_reason"]),
            }
            for choice in response["choices"]
        ]
        return self.of_response(response, "chat.completion", choices) | {"usage": _usage(response["usage"])}

    def chunk(self, chunk: Json) -> Iterable[Json]:
        """Return the translated events of a chunk."""
        choices = [
            {
                "index": choice["index"],
                "delta": self._delta(choice["delta"]),
                "logprobs": _logprobs(choice.get("logprobs")),
                **_prompt_logprobs(choice),
                "finish_reason": self._finish(choice["finish_reason"]),
            }
            for choice in chunk["choices"]
        ]
        usage = chunk.get("usage")
        return self.streamed(self.of_response(chunk, "chat.completion.chunk", choices), usage and _usage(usage))

    @property
    def _is_legacy(self) -> bool:
        """True if the request has functions instead of tools."""
        return bool(self.body.get("functions"))

    def _finish(self, reason: str | None) -> str | None:
        known = _finish(reason)
        return "function_call" if known == "tool_calls" and self._is_legacy else known

    def _message(self, message: Json) -> Json:
        text, thought = _texts(message.get("content"))
        calls = message.get("tool_calls")
        written: Json = {"role": "assistant", "content": text or None if calls else text, "refusal": None}
        if thought is not None:
            written["reasoning_content"] = thought
        if calls and self._is_legacy:
            return written | {"function_call": calls[0]["function"]}
        if calls:
            written["tool_calls"] = [{name: call[name] for name in ("id", "type", "function")} for call in calls]
        return written

    def _delta(self, delta: Json) -> Json:
        text, thought = _texts(delta.get("content"))
        written: Json = {"role": delta["role"]} if "role" in delta else {}
        if text or written:
            written["content"] = text
        if thought:
            written["reasoning_content"] = thought
        calls = [_call_piece(call) for call in delta.get("tool_calls") or []]
        if calls and self._is_legacy:
            return written | {"function_call": calls[0]["function"]}
        return written | {"tool_calls": calls} if calls else written


class TextAnswers(OpenAIAnswers):
    """Writer of text completions, from chat completions with the choices of all prompts in order."""

    def response(self, response: Json) -> Json:
        """Return the translation of a whole answer."""
        choices = [self._choice(choice, choice["message"], begins=True) for choice in response["choices"]]
        return self.of_response(response, "text_completion", choices) | {"usage": _usage(response["usage"])}

    def chunk(self, chunk: Json) -> Iterable[Json]:
        """Return the translated events of a chunk."""
        choices = [
            self._choice(choice, choice["delta"], begins="role" in choice["delta"]) for choice in chunk["choices"]
        ]
        usage = chunk.get("usage")
        return self.streamed(self.of_response(chunk, "text_completion", choices), usage and _usage(usage))

    def _choice(self, choice: Json, message: Json, *, begins: bool) -> Json:
        with_prompt = begins and bool(self.body.get("echo"))
        known = choice.get("logprobs")
        return {
            "text": message.get("content") or "",
            "index": choice["index"],
            "logprobs": text_logprobs(known["content"], with_prompt=with_prompt) if known else None,
            "finish_reason": _finish(choice["finish_reason"]),
        }


class EmbeddingAnswers(OpenAIAnswers):
    """Writer of embeddings."""

    def response(self, response: Json) -> Json:
        """Return the translation of a whole answer."""
        usage = response["usage"]
        return {
            "object": "list",
            "data": response["data"],
            "model": response["model"],
            "usage": {name: usage[name] for name in ("prompt_tokens", "total_tokens")},
        }


class ModelAnswers(OpenAIAnswers):
    """Writer of model cards, single or in a list."""

    def response(self, response: Json) -> Json:
        """Return the translation of a whole answer."""
        if response.get("object") == "list":
            return {"object": "list", "data": [_model(card) for card in response["data"]]}
        return _model(response) if response.get("object") == "model" and "created" in response else response


def _error(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> Json:
    return {"message": message, "type": kind, "param": param, "code": code}


def _ends_apart(chunk: Json) -> list[Json]:
    """Return the chunk, and one without content for finish reasons, as OpenAI's last chunks have nothing else."""
    choices = chunk["choices"]
    ends = [
        choice | {name: empty for name, empty in _NOTHING.items() if name in choice}
        for choice in choices
        if choice["finish_reason"]
    ]
    if all(end in choices for end in ends):
        return [chunk]
    pieces = [choice | {"finish_reason": None} for choice in choices]
    return [chunk | {"choices": pieces}, chunk | {"choices": ends}]


def _model(card: Mapping[str, Any]) -> Json:
    return {name: card[name] for name in ("id", "object", "created", "owned_by")}


def _usage(usage: Mapping[str, Any]) -> Json:
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details")
    return {name: usage[name] for name in names if usage.get(name) is not None}


def _finish(reason: str | None) -> str | None:
    return "length" if reason == "model_length" else reason


def _texts(content: Any) -> tuple[str | None, str | None]:
    """Return the text and the thinking of a message's content; None for a missing one."""
    if not isinstance(content, list):
        return content, None
    texts = [chunk["text"] for chunk in content if chunk["type"] == "text"]
    thoughts = [part["text"] for chunk in content if chunk["type"] == "thinking" for part in chunk["thinking"]]
    return "".join(texts), "".join(thoughts) if thoughts else None


def _call_piece(call: Json) -> Json:
    """Return a piece of a call. The first piece has an id, a type and a name, the others have none."""
    function = {name: value for name, value in call["function"].items() if name != "name" or value}
    begun: Json = {name: call[name] for name in ("id", "type") if name in call}
    return {"index": call.get("index", 0), **begun, "function": function}


def _logprobs(logprobs: Any) -> Json | None:
    return {"content": chat_logprobs(logprobs["content"]), "refusal": None} if logprobs else None


def _prompt_logprobs(choice: Json) -> Json:
    """Return the log-probabilities of a prompt as the Mistral API has them; OpenAI's has none."""
    return {"prompt_logprobs": choice["prompt_logprobs"]} if "prompt_logprobs" in choice else {}
