"""Engines that refuse a request only when its first tokens are read, or fail during it."""

import json
from typing import Any

import httpx2
import pytest

from ponant.engine.base import Delta
from ponant.errors import EngineError, EngineUnavailableError, QueueFullError
from tests.chatting import CHAT, assert_ended_by_error, assert_error, data_of
from tests.in_process import ScriptedServer
from tests.scripted_engine import End

FIM, TEXT = "/v1/fim/completions", "/v1/completions"
PATHS: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "Hello"}]},
    FIM: {"prompt": "Hello"},
    TEXT: {"prompt": "Hello"},
}
REFUSALS = [
    (QueueFullError("16 requests wait already"), 429, "rate_limited", "5"),
    (EngineUnavailableError("the engine is restarting"), 503, "unavailable", "2"),
    (EngineError("something else"), 500, "internal_server_error", None),
]


def posted(server: ScriptedServer, path: str, **fields: Any) -> httpx2.Response:
    with server.client() as client:
        return client.post(path, json=PATHS[path] | fields)


@pytest.mark.parametrize(("refusal", "status", "kind", "retry"), REFUSALS, ids=[kind for _, _, kind, _ in REFUSALS])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", [CHAT, FIM])
def test_late_refusal_has_its_status(
    scripted_server: ScriptedServer,
    path: str,
    stream: bool,
    refusal: Exception,
    status: int,
    kind: str,
    retry: str | None,
) -> None:
    scripted_server.engine.play(refusal)
    response = posted(scripted_server, path, stream=stream)
    assert_error(response, status, kind)
    assert response.headers.get("retry-after") == retry


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_late_refusal_of_text_is_openais(scripted_server: ScriptedServer, stream: bool) -> None:
    for _ in range(2):
        scripted_server.engine.play(QueueFullError("too many"))
    response = posted(scripted_server, TEXT, prompt=["One", "Two"], stream=stream)
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("path", PATHS)
def test_answer_is_what_the_engine_gives(scripted_server: ScriptedServer, path: str) -> None:
    engine = scripted_server.engine
    engine.play("a c", "at")
    answer = posted(scripted_server, path, max_tokens=None).json()
    (choice,) = answer["choices"]
    said = choice["text"] if "text" in choice else choice["message"]["content"]
    assert (said, choice["finish_reason"]) == ("a cat", "stop")
    assert answer["usage"]["completion_tokens"] == len([*engine.tokens("a c"), *engine.tokens("at")])
    assert answer["usage"]["prompt_tokens"] == len(engine.requests[-1].prompt)


def test_failure_after_the_first_tokens_is_an_event(scripted_server: ScriptedServer) -> None:
    failing = ("a cat", EngineUnavailableError("the engine died"))
    scripted_server.engine.play(*failing)
    streamed = posted(scripted_server, CHAT, stream=True)
    assert streamed.status_code == 200
    *chunks, _ = data = list(data_of(streamed))
    assert "".join(json.loads(chunk)["choices"][0]["delta"]["content"] for chunk in chunks) == "a cat"
    assert_ended_by_error(data, "unavailable")
    scripted_server.engine.play(*failing)
    assert_error(posted(scripted_server, CHAT), 503, "unavailable")


JSON_ANSWER = {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "string"}}}}
TOOLS = {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}


@pytest.mark.parametrize(("fields", "field"), [(JSON_ANSWER, "response_format"), (TOOLS, "tools")])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_schema_that_is_too_complex_for_the_engine_is_a_bad_request(
    scripted_server: ScriptedServer, fields: dict[str, Any], field: str, stream: bool
) -> None:
    scripted_server.engine.play(End("grammar"))
    response = posted(scripted_server, CHAT, stream=stream, **fields)
    assert assert_error(response, 400, "invalid_request_error").startswith(f"The schemas of {field} are too complex")
    assert response.json()["param"] == field


def test_choice_whose_grammar_fails_ends_with_an_error(scripted_server: ScriptedServer) -> None:
    scripted_server.engine.play(Delta(0, [], "grammar"), End())
    choices = posted(scripted_server, CHAT, n=2, **JSON_ANSWER).json()["choices"]
    assert [choice["finish_reason"] for choice in choices] == ["error", "stop"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"properties": {"a": {"type": "string", "pattern": r"^(.)(?!\1)"}}},
        {"properties": {"a": {"uniqueItems": True}}},
        {"properties": {"a": {"contains": {"const": 1}}}},
        {"properties": {"a": {"multipleOf": 0.01}}},
        {"properties": {"a": {"not": {"items": {"type": "string"}}}}},
        {"properties": {"a": {"oneOf": [{"type": "string", "pattern": "a"}, {"type": "string"}]}}},
        {"patternProperties": {r"(a)\1": {}}, "additionalProperties": False},
        {
            "properties": {
                "a": {"type": "string", "pattern": r"^(?=.{4,253}$)((?!-)[a-z\d-]{1,63}(?<!-)\.)+[a-z]{2,63}$"}
            }
        },
        {"properties": {"a": {"type": "number", "minimum": 1e300}}},
        {"properties": {"a": {"$ref": "https://example.org/schema.json"}}},
    ],
)
def test_tool_with_a_keyword_that_cannot_be_enforced_is_refused_if_it_is_strict(
    scripted_server: ScriptedServer, parameters: dict[str, Any]
) -> None:
    function = {"name": "f", "parameters": {"type": "object"} | parameters}
    answer = posted(scripted_server, CHAT, tools=[{"type": "function", "function": function}])
    assert answer.json()["choices"][0]["message"]["content"] == "Hello world"
    strict = [{"type": "function", "function": function | {"strict": True}}]
    assert_error(posted(scripted_server, CHAT, tools=strict), 400, "invalid_request_error")
