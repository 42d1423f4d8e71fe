"""Limits of bodies: hostile ones cost little, and honest ones are far below the limits."""

import gc
import json
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ponant.api.embeddings import EmbeddingRequest
from ponant.api.fim import FIMCompletionRequest
from ponant.api.fine_tuning import JobIn
from ponant.completion.text import TextRequest
from ponant.models import ChatCompletionRequest
from ponant.server.dialects.base import DialectExchange
from ponant.server.json_text import parse_json
from tests.chatting import CHAT, body
from tests.in_process import ScriptedServer, serving_scripted
from tests.serving import wait_until

MANY = 5000
LARGEST_REPORT = 17_000
JSON = {"content-type": "application/json"}
EMBEDDINGS, FIM, TEXT, JOBS = "/v1/embeddings", "/v1/fim/completions", "/v1/completions", "/v1/fine_tuning/jobs"
JOB: dict[str, Any] = {"model": "tiny", "hyperparameters": {}}


def said(content: Any, role: Any = "user", **fields: Any) -> dict[str, Any]:
    """Return a conversation of one message."""
    return {"messages": [{"role": role, "content": content, **fields}]}


def thought(parts: list[Any]) -> dict[str, Any]:
    return said([{"type": "thinking", "thinking": parts}], "assistant")


UNKNOWN = {f"unknown{number}": 1 for number in range(MANY)}
BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "messages": (CHAT, {"messages": [1] * MANY}),
    "messages without fields": (CHAT, {"messages": [{"role": "user"}] * MANY}),
    "chunks": (CHAT, said([{}] * 1000)),
    "unknown chunks": (CHAT, said([{"type": "x"}] * 1000)),
    "chunks of all messages": (CHAT, {"messages": [{"role": "user", "content": [{}] * 500}] * 50}),
    "parts of thinking": (CHAT, thought([{}] * 1000)),
    "references": (CHAT, said([{"type": "reference", "reference_ids": [{}] * MANY}])),
    "tool calls": (CHAT, said("", "assistant", tool_calls=[{}] * 1000)),
    "tools": (CHAT, body(tools=[{}] * 1000)),
    "stop strings": (CHAT, body(stop=[""] * 64)),
    "biases": (CHAT, body(logit_bias={str(token): "a" for token in range(MANY)})),
    "large biases": (CHAT, body(logit_bias={str(token): 101 for token in range(MANY)})),
    "guardrails": (CHAT, body(guardrails=[1] * MANY)),
    "unknown fields": (CHAT, body() | UNKNOWN),
    "unknown fields of a message": (CHAT, said("Hello", **UNKNOWN)),
    "unknown fields of a chunk": (CHAT, said([{"type": "text", "text": "a", **UNKNOWN}])),
    "unknown fields of a tool": (CHAT, body(tools=[{"function": {"name": "f", "parameters": {}, **UNKNOWN}}])),
    "inputs": (EMBEDDINGS, {"input": [{}] * MANY}),
    "token ids": (EMBEDDINGS, {"input": [[-1] * MANY]}),
    "token ids of all inputs": (EMBEDDINGS, {"input": [[-1]] * MANY}),
    "stop strings of code": (FIM, {"prompt": "a", "stop": [1] * 64}),
    "prompts": (TEXT, {"prompt": [{}] * 128}),
    "token ids of a prompt": (TEXT, {"prompt": [[-1] * MANY]}),
    "training files": (JOBS, JOB | {"training_files": [{}] * MANY}),
    "validation files": (JOBS, JOB | {"validation_files": [1] * MANY}),
    "integrations": (JOBS, JOB | {"integrations": [{}] * MANY}),
    "repositories": (JOBS, JOB | {"repositories": [{}] * MANY}),
    "unknown hyperparameters": (JOBS, JOB | {"hyperparameters": UNKNOWN}),
}
TYPES: dict[str, type[BaseModel]] = {
    CHAT: ChatCompletionRequest,
    EMBEDDINGS: EmbeddingRequest,
    FIM: FIMCompletionRequest,
    JOBS: JobIn,
}


def assert_small(response: Any) -> None:
    """Check the report of a bad body in the format of its dialect."""
    assert len(response.content) < LARGEST_REPORT
    if response.status_code == 400:
        assert len(response.json()["error"]["message"]) < 1000
    else:
        assert response.status_code == 422
        assert 1 <= len(response.json()["detail"]) <= 20


@pytest.mark.parametrize(("path", "content"), BAD.values(), ids=BAD)
def test_reports_of_bad_bodies_are_small(scripted_server: ScriptedServer, path: str, content: dict[str, Any]) -> None:
    with scripted_server.client() as client:
        assert_small(client.post(path, json=content))
        if path in (CHAT, JOBS):
            assert_small(client.post(f"/openai{path}", json=content))
        if path == CHAT:
            assert_small(client.post(f"/nim{path}", json=content))


@pytest.mark.parametrize(("path", "content"), BAD.values(), ids=BAD)
def test_errors_beyond_the_first_are_not_built(path: str, content: dict[str, Any]) -> None:
    kind = TYPES.get(path, TextRequest)
    fields = content if path in TYPES else {"prompts": content["prompt"]}
    with pytest.raises(ValueError) as refused:
        kind.model_validate(fields)
    assert refused.value.error_count() <= 25  # type: ignore[attr-defined]


LONG = "x" * 200_000
HUGE: dict[str, tuple[int, dict[str, Any]]] = {
    "an unknown field": (422, body() | {LONG: 1}),
    "unknown fields": (422, body() | {f"{LONG}{number}": LONG for number in range(30)}),
    "a role": (422, {"messages": [{"role": LONG}]}),
    "a value": (422, body(temperature=LONG)),
    "a list": (422, body(temperature=[LONG, *range(10_000)])),
    "an object": (422, body(temperature=[{LONG: LONG, "a": [[LONG]]}])),
    "backslashes": (422, body(temperature=LONG.replace("x", "\\"))),
    "a model": (400, body(model=LONG)),
    "a function": (400, body(tools=[{"function": {"name": LONG, "parameters": {}}}])),
    "a forced function": (
        400,
        body(tools=[TOOL := {"function": {"name": "f", "parameters": {}}}], tool_choice={"function": {"name": LONG}}),
    ),
}


@pytest.mark.parametrize(("status", "content"), HUGE.values(), ids=HUGE)
def test_reports_repeat_the_beginning_of_long_texts(
    scripted_server: ScriptedServer, status: int, content: dict[str, Any]
) -> None:
    with scripted_server.client() as client:
        response = client.post(CHAT, json=content)
        assert response.status_code == status
        assert len(response.content) < LARGEST_REPORT
        for prefix in ("/openai", "/nim"):
            assert len(client.post(f"{prefix}{CHAT}", json=content).content) < LARGEST_REPORT


def test_values_are_repeated_up_to_their_limit(scripted_server: ScriptedServer) -> None:
    short, long = [1, {"a": 'é\\"'}, [None, 2.5]], {"a": [True, "é" * 50], "b": ["c" * 2000, 1]}
    with scripted_server.client() as client:
        for value, echo in ((short, short), (long, f"{json.dumps(long)[:1000]}…")):
            (error,) = client.post(CHAT, json=body(temperature=value)).json()["detail"]
            assert error["input"] == echo


@pytest.fixture(scope="module")
def narrow_server(tiny_model: Path) -> Iterator[ScriptedServer]:
    """Server with small limits."""
    limits = {"messages": 2, "chunks": 3, "tools": 4, "stops": 5, "inputs": 6, "items": 7, "json_parts": 100}
    settings: dict[str, Any] = {f"max_{name}": limit for name, limit in limits.items()}
    with serving_scripted(tiny_model, max_json_values=200, **settings) as server:
        yield server


TEXT_CHUNK = {"type": "text", "text": "a"}
CALL = {"function": {"name": "f", "arguments": "{}"}}


def messages(number: int) -> dict[str, Any]:
    return {"model": "scripted", "max_tokens": 1, "messages": [{"role": "user", "content": "a"}] * number}


def tools(number: int) -> dict[str, Any]:
    return body(tools=[{"function": {"name": f"f{index}", "parameters": {}}} for index in range(number)])


LISTS: dict[str, tuple[str, int, Any]] = {
    "messages": (CHAT, 2, messages),
    "chunks": (CHAT, 3, lambda number: said([TEXT_CHUNK] * number)),
    "chunks of a result": (CHAT, 3, lambda number: said([TEXT_CHUNK] * number, "tool")),
    "parts of thinking": (CHAT, 3, lambda number: thought([TEXT_CHUNK] * number)),
    "tools": (CHAT, 4, tools),
    "calls": (CHAT, 4, lambda number: said("", "assistant", tool_calls=[CALL] * number)),
    "stop strings": (CHAT, 5, lambda number: body(stop=["a"] * number)),
    "stop strings of code": (FIM, 5, lambda number: {"prompt": "a", "stop": ["a"] * number}),
    "stop strings of a text": (TEXT, 5, lambda number: {"prompt": "a", "stop": ["a"] * number}),
    "inputs": (EMBEDDINGS, 6, lambda number: {"input": ["a"] * number}),
    "inputs of token ids": (EMBEDDINGS, 6, lambda number: {"input": [[1]] * number}),
    "references": (CHAT, 7, lambda number: said([{"type": "reference", "reference_ids": [1] * number}])),
    "biases": (CHAT, 7, lambda number: body(logit_bias={str(token): 1 for token in range(number)})),
    "guardrails": (CHAT, 7, lambda number: body(guardrails=[{}] * number)),
    "training files": (JOBS, 7, lambda number: JOB | {"training_files": ["a"] * number}),
    "targets": (JOBS, 7, lambda number: JOB | {"classifier_targets": [1] * number}),
}


@pytest.mark.parametrize(("path", "most", "content"), LISTS.values(), ids=LISTS)
def test_lists_have_the_lengths_of_the_settings(
    narrow_server: ScriptedServer, path: str, most: int, content: Any
) -> None:
    with narrow_server.client() as client:
        assert "at most" not in client.post(path, json=content(most)).text
        refused = client.post(path, json=content(most + 1))
    assert refused.status_code in (400, 422)
    assert f"should have at most {most} items after validation, not {most + 1}" in refused.text


def test_schema_has_the_limits_of_the_settings(narrow_server: ScriptedServer, scripted_server: ScriptedServer) -> None:
    for server, most in (
        (narrow_server, (2, 3, 4, 5, 6, 7)),
        (scripted_server, (10_000, 1000, 1000, 64, 10_000, 10_000)),
    ):
        with server.client() as client:
            schemas = client.get("/openapi.json").json()["components"]["schemas"]
        chat = schemas["ChatCompletionRequest"]["properties"]
        content = schemas["ToolMessage"]["properties"]["content"]
        found = (
            chat["messages"]["maxItems"],
            *(limit_in(schema) for schema in (content, chat["tools"], chat["stop"])),
            limit_in(schemas["EmbeddingRequest"]["properties"]["input"]),
            schemas["JobIn"]["properties"]["training_files"]["maxItems"],
        )
        assert found == most
        assert "x-limit" not in json.dumps(schemas)


def limit_in(schema: dict[str, Any]) -> int:
    """Return the limit of an optional list."""
    limit: int = next(choice["maxItems"] for choice in schema["anyOf"] if "maxItems" in choice)
    return limit


def test_every_list_in_a_request_has_a_limit(scripted_server: ScriptedServer) -> None:
    with scripted_server.client() as client:
        document = client.get("/openapi.json").json()
    unlimited = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for media in operation.get("requestBody", {}).get("content", {}).values():
                unlimited += [
                    f"{method} {path} {place}" for place in lists_without_limit(media["schema"], document, set())
                ]
    assert unlimited == []


def lists_without_limit(schema: Any, document: Any, seen: set[str]) -> Iterator[str]:
    """Yield the places of lists without a limit."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        if name not in seen:
            yield from lists_without_limit(document["components"]["schemas"][name], document, {*seen, name})
        return
    if schema.get("type") == "array" and "maxItems" not in schema:
        yield ""
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from lists_without_limit(choice, document, seen)
    items = {"[]": schema["items"]} if "items" in schema else {}
    for name, part in {**schema.get("properties", {}), **items}.items():
        for place in lists_without_limit(part, document, seen):
            yield f"{name}.{place}"


def values(number: int) -> dict[str, Any]:
    """Return a chat request with this number of values."""
    return messages(1) | {"metadata": {"a": [1] * (number - 9)}}


def parts(number: int) -> dict[str, Any]:
    """Return a chat request with this number of objects, lists and members."""
    return messages(1) | {"metadata": {f"a{index}": 1 for index in range(number - 10)}}


def test_texts_of_a_body_are_not_kept_in_a_cache() -> None:
    text = b'{"content": "a word"}'
    assert parse_json(text)["content"] is not parse_json(text)["content"]


def test_no_garbage_is_collected_while_a_large_body_is_in_memory(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[bool] = []

    def parse(text: bytes) -> Any:
        states.append(gc.isenabled())
        return parse_json(text)

    monkeypatch.setattr("ponant.server.json_body.parse_json", parse)
    with serving_scripted(tiny_model) as server, server.client() as client:
        for content in ("a", "a" * 70_000):
            assert client.post(CHAT, json={"messages": [{"role": "user", "content": content}]}).status_code in (
                200,
                400,
            )
    assert states == [True, False]
    assert gc.isenabled()


def holds_a_body(exchange: DialectExchange | None) -> bool:
    return exchange is not None and (bool(exchange.body) or "answers" in exchange.__dict__)


@pytest.mark.parametrize("content", ["a", "a" * 70_000], ids=["small", "large"])
@pytest.mark.parametrize("prefix", ["", "/openai", "/nim"])
def test_bodies_are_deleted_with_their_requests(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, prefix: str, content: str
) -> None:
    read: list[weakref.ref[DialectExchange]] = []

    def note(exchange: DialectExchange, body: Any) -> Any:
        read.append(weakref.ref(exchange))
        return reading(exchange, body)

    reading = DialectExchange.read
    monkeypatch.setattr(DialectExchange, "read", note)
    with serving_scripted(tiny_model) as server, server.client() as client:
        gc.disable()
        try:
            for stream in (False, True):
                message = {"role": "user", "content": content}
                client.post(f"{prefix}{CHAT}", json={"model": "scripted", "messages": [message], "stream": stream})
            wait_until(lambda: not any(holds_a_body(held()) for held in read))
        finally:
            gc.enable()
    assert len(read) == 2


@pytest.fixture
def parsing(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Threads that parsed a body, in order."""
    threads: list[threading.Thread] = []

    def parse(text: bytes) -> Any:
        threads.append(threading.current_thread())
        return parse_json(text)

    monkeypatch.setattr("ponant.server.json_body.parse_json", parse)
    return threads


@pytest.mark.parametrize("prefix", ["", "/openai", "/nim"])
@pytest.mark.parametrize(
    ("content", "most", "what"), [(values, 200, "values"), (parts, 100, "objects, lists and members of objects")]
)
def test_large_bodies_are_refused_before_they_are_parsed(
    narrow_server: ScriptedServer, parsing: list[threading.Thread], prefix: str, content: Any, most: int, what: str
) -> None:
    with narrow_server.client() as client:
        assert client.post(f"{prefix}{CHAT}", json=content(most)).status_code == 200
        assert len(parsing) == 1
        refused = client.post(f"{prefix}{CHAT}", json=content(most + 1))
    assert len(parsing) == 1
    assert refused.status_code == 413
    assert f"The body has {most + 1} {what}, and a request may have {most}" in refused.text


def test_marks_in_texts_are_no_values(narrow_server: ScriptedServer) -> None:
    with narrow_server.client() as client:
        for text in ('[{"a": 1},' * 1000, '\\"[,{:' * 1000, "\\" * 999, "[" * 300_000):
            response = client.post(CHAT, json=said(text) | {"max_tokens": 1})
            assert response.status_code in (200, 400)
            assert "may have" not in response.text


def test_only_large_bodies_leave_the_event_loop(
    scripted_server: ScriptedServer, parsing: list[threading.Thread]
) -> None:
    loop = scripted_server.call(threading.current_thread)
    with scripted_server.client() as client:
        assert client.post(CHAT, json=body()).status_code == 200
        assert client.post(CHAT, json=body(metadata={"a": "a" * 100_000})).status_code == 200
        assert client.post(CHAT, json=body(metadata={"a": "a" * 100_000}, colour=1)).status_code == 422
        assert client.post(CHAT, content=b"[" + b" " * 100_000, headers=JSON).status_code == 422
    assert [thread is loop for thread in parsing] == [True, False, False, False]


def test_honest_requests_are_within_the_limits(scripted_server: ScriptedServer) -> None:
    turn = [{"role": "user", "content": [TEXT_CHUNK] * 3}, {"role": "assistant", "content": "a", "tool_calls": None}]
    with scripted_server.client() as client:
        for content in ({"messages": turn * 4999 + turn[:1]}, said([TEXT_CHUNK] * 1000)):
            response = client.post(CHAT, json=content)
            assert response.status_code == 200 or response.json()["type"] == "context_length_exceeded", response.text
        assert client.post(CHAT, json=tools(1000) | {"tool_choice": "none"}).status_code == 200
        assert client.post(CHAT, json=body(stop=[f"<{number}>" for number in range(64)])).status_code == 200
