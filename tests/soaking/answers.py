"""Answers of the soak trial: the parts that a repetition of the request must reproduce."""

import json
import math
from typing import Any, NamedTuple

import httpx2

from tests.chatting import data_of
from tests.soaking.cases import Case

_VARYING = ("id", "created", "usage", "system_fingerprint", "delta", "index")


class Interrupted(NamedTuple):
    """Beginning of a stream that an error ended: the texts of its choices, and the type of the error."""

    texts: dict[int, str]
    kind: str


def asked(client: httpx2.Client, case: Case) -> Any:
    """Return the repeatable parts of the answer to a request. Raises AssertionError, httpx2.HTTPError."""
    if not case.streams:
        response = client.post(case.path, json=case.fields)
        assert response.is_success, (case, response.text)
        return _repeatable(response.json())
    with client.stream("POST", case.path, json=case.fields) as response:
        assert response.is_success, (case, response.read())
        return _collected(list(data_of(response)))


def agrees(answer: Any, expected: Any) -> bool:
    """True if two answers are equal, but for the rounding of numbers."""
    if isinstance(answer, float):
        return isinstance(expected, float) and math.isclose(answer, expected, rel_tol=1e-4, abs_tol=1e-4)
    if isinstance(answer, dict):
        return answer.keys() == expected.keys() and all(agrees(part, expected[key]) for key, part in answer.items())
    if isinstance(answer, list):
        return len(answer) == len(expected) and all(map(agrees, answer, expected))
    return bool(answer == expected)


def is_beginning(part: Interrupted, whole: dict[int, tuple[str, str | None]]) -> bool:
    """True if an interrupted stream agrees with the collected stream as far as it got."""
    return all(whole[index][0].startswith(text) for index, text in part.texts.items())


def _repeatable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _repeatable(part) for key, part in value.items() if key not in _VARYING}
    return [_repeatable(part) for part in value] if isinstance(value, list) else value


def _collected(data: list[str]) -> dict[int, tuple[str, str | None]] | Interrupted:
    """Return the text, with calls of tools as JSON, and the finish reason of each choice of a stream."""
    texts: dict[int, str] = {}
    ends: dict[int, str | None] = {}
    for line in data:
        if line == "[DONE]":
            return {index: (text, ends[index]) for index, text in texts.items()}
        event = json.loads(line)
        if "choices" not in event:
            return Interrupted(texts, _kind(event.get("error") or event))
        for choice in event["choices"]:
            index = choice["index"]
            texts[index] = texts.get(index, "") + _text(choice)
            ends[index] = choice["finish_reason"] or ends.get(index)
    return Interrupted(texts, "cut")


def _kind(error: dict[str, Any]) -> str:
    """Return the type of an error; OpenAI's dialect has it as the code."""
    return str(error["code"] if error["type"] == "server_error" else error["type"])


def _text(choice: dict[str, Any]) -> str:
    if "delta" not in choice:
        return str(choice["text"])
    delta = choice["delta"]
    calls = [call["function"] for call in delta.get("tool_calls") or []]
    return (delta.get("content") or "") + (json.dumps(calls) if calls else "")
