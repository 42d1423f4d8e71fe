"""Normal form of answers: volatile values and generated text are replaced by names.

Keys, types, finish reasons, the order of events, counts that follow from the request, and every text written by Ponant
stay.
"""

import base64
import re
from collections.abc import Callable
from typing import Any

import ponant

_TEXTS: tuple[tuple[str, str], ...] = (
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b", "<uuid>"),
    (r"\b(cmpl|embd|chatcmpl)-[0-9a-f]{32}\b", r"\1-<id>"),
    (r"\bfp_[0-9a-f]{10}\b", "fp_<id>"),
    (r"(127\.0\.0\.1|localhost):\d+", r"\1:<port>"),
    (r"expires=\d+&signature=[^\"&\s]+", "expires=<time>&signature=<signature>"),
    (rf"\b([Pp]onant[ /]|version ){re.escape(ponant.__version__)}", r"\1<version>"),
    (r"\b(ft:[\w.-]+(?::[\w.-]+)?):\d{8}:[0-9a-f]{8}\b", r"\1:<date>:<job>"),
)
_TIMES = ("created", "created_at", "modified_at", "expires_at", "estimated_start_time")
_MEASURED = (
    "expected_duration_seconds",
    "tokens_per_second",
    "eta_seconds",
    "loss",
    "train_loss",
    "valid_loss",
    "valid_mean_token_accuracy",
)
_CACHED = ("num_cached_tokens", "cached_tokens")
_SAID = {"token": "<token>", "bytes": "<bytes>", "logprob": "<number>", "token_id": "<number>"}
_LONGEST, _MOST = 1000, 20
"""Maximum recorded length of a text in characters, and of a list in items."""
_CUT = ("length", "model_length")
"""Finish reasons that determine the number of tokens."""


def normal_text(text: str) -> str:
    """Return a text without ids, ports, versions and dates."""
    for pattern, name in _TEXTS:
        text = re.sub(pattern, name, text)
    return text


def normal_json(value: Any) -> Any:
    """Return the normal form of an answer's JSON."""
    if isinstance(value, str):
        return normal_text(value)
    if isinstance(value, list):
        return [normal_json(part) for part in value]
    if isinstance(value, dict):
        counted = _is_cut(value)
        return {key: _field(key, part, counted=counted) for key, part in value.items()}
    return value


def normal_events(events: list[Any]) -> list[Any]:
    """Return the normal form of a stream's events.

    The number of tokens per event and the order of choices depend on the model. So the events after the first are
    sorted by choice, and equal adjacent ones are merged.
    """
    first, *others = [_event(event) for event in events]
    merged = [first]
    for event in sorted(others, key=_choice_index):
        if event != merged[-1]:
            merged.append(event)
    return merged


def _event(event: Any) -> Any:
    choices = [_choice(choice, streamed=True) for choice in event.get("choices", [])]
    return normal_json(event) | ({"choices": choices} if "choices" in event else {})


def shortened(value: Any) -> Any:
    """Return a part of a request with long texts and lists cut."""
    if isinstance(value, str | bytes) and len(value) > _LONGEST:
        text = value[:20] if isinstance(value, str) else value[:20].decode(errors="replace")
        return f"{text}... ({len(value)} in all)"
    if isinstance(value, list) and len(value) > _MOST:
        return [shortened(value[0]), f"... ({len(value)} in all)"]
    if isinstance(value, list | tuple):
        return type(value)(shortened(part) for part in value)
    return {key: shortened(part) for key, part in value.items()} if isinstance(value, dict) else value


def _field(key: str, value: Any, *, counted: bool) -> Any:
    if key in _TIMES and isinstance(value, int):
        return "<time>"
    if key in _MEASURED and isinstance(value, int | float):
        return "<number>"
    if key == "trained_tokens" and value is not None:
        return "<count>"
    if key == "choices" and isinstance(value, list):
        return [_choice(choice) for choice in value]
    if key == "usage" and isinstance(value, dict):
        return _usage(value, counted=counted)
    if key == "embedding":
        return _embedding(value)
    return normal_json(value)


def _choice(choice: Any, *, streamed: bool = False) -> Any:
    """Return a choice, whole or from a chunk, without generated content."""
    is_last = streamed and bool(choice.get("finish_reason"))
    parts: dict[str, Callable[[Any], Any]] = {
        "message": _message,
        "delta": lambda delta: _message(delta, is_last=is_last),
        "text": lambda text: _text(text, is_last=is_last),
        "logprobs": lambda logprobs: _logprobs(logprobs, streamed=streamed),
    }
    return {key: parts.get(key, normal_json)(value) for key, value in choice.items()}


def _message(message: dict[str, Any], *, is_last: bool = False) -> dict[str, Any]:
    def said(key: str, value: Any) -> Any:
        match key:
            case "content" if is_last or isinstance(value, str):
                return _text(value, is_last=is_last)
            case "content" if isinstance(value, list):
                return [_chunk(chunk) for chunk in value]
            case "reasoning_content" | "refusal" if isinstance(value, str):
                return "<text>"
            case "tool_calls" if value:
                return [_call(call) for call in value]
            case "function_call" if value:
                return _function(value)
        return value

    return {key: said(key, value) for key, value in message.items() if not (is_last and key == "reasoning_content")}


def _text(text: Any, *, is_last: bool) -> Any:
    """Return a name for a text; text in a stream's last event depends on the model."""
    if is_last:
        return "<text or nothing>"
    return "<text>" if text else text


def _chunk(chunk: dict[str, Any]) -> dict[str, Any]:
    if "thinking" in chunk:
        return chunk | {"thinking": [_chunk(part) for part in chunk["thinking"]]}
    return chunk | {"text": "<text>"} if "text" in chunk else chunk


def _call(call: dict[str, Any]) -> dict[str, Any]:
    named = {"id": "<call id>"} if call.get("id") not in (None, "null") else {}
    return call | named | {"function": _function(call["function"])}


def _function(function: dict[str, Any]) -> dict[str, Any]:
    return function | ({"arguments": "<JSON>"} if "arguments" in function else {})


def _logprobs(value: Any, *, streamed: bool = False) -> Any:
    """Return log-probabilities without tokens and numbers; all tokens have the same keys.

    The number of tokens in an event of a stream depends on the model.
    """
    if isinstance(value, dict) and isinstance(value.get("tokens"), list):  # format of text completions
        return {key: "<list>" if streamed else f"<list of {len(part)}>" for key, part in value.items()}
    if isinstance(value, dict):
        return {key: _logprob(key, part) for key, part in value.items()}
    if isinstance(value, list):
        parts = [_logprobs(part) for part in value]
        return parts[:1] if all(part == parts[0] for part in parts) else parts
    return value


def _logprob(key: str, value: Any) -> Any:
    """Return a field of log-probabilities; the request determines the number of the most likely tokens."""
    likeliest = [_logprobs(token) for token in value] if key == "top_logprobs" else None
    return likeliest or _SAID.get(key) or _logprobs(value)


def _usage(usage: dict[str, Any], *, counted: bool) -> dict[str, Any]:
    def count(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: count(name, part) for name, part in value.items()}
        is_uncertain = key in _CACHED or "prediction" in key or (key != "prompt_tokens" and not counted)
        return "<count>" if is_uncertain and value is not None else value

    return {key: count(key, value) for key, value in usage.items()}


def _is_cut(response: dict[str, Any]) -> bool:
    """True if the number of tokens follows from the request: the model ended no choice by itself."""
    choices = response.get("choices")
    reasons = [choice.get("finish_reason") for choice in choices] if isinstance(choices, list) else []
    return all(reason in _CUT for reason in reasons)


def _embedding(embedding: Any) -> str:
    if isinstance(embedding, str):
        return f"<base64 of {len(base64.b64decode(embedding))} bytes>"
    kinds = sorted({type(number).__name__ for number in embedding})
    return f"<{len(embedding)} numbers: {', '.join(kinds)}>"


def _choice_index(event: Any) -> int:
    choices = event.get("choices") if isinstance(event, dict) else None
    return choices[0]["index"] if choices else 1000
