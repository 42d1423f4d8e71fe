"""Dialects translate or clearly refuse any body."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.testclient import TestClient

from ponant.api.chat import ChatCompletionRequest
from ponant.server.dialects.base import DialectExchange
from ponant.server.dialects.nim import NIM
from ponant.server.dialects.openai import CHAT, CHAT_RULES, EMBEDDINGS, OPENAI, TEXT
from ponant.server.dialects.openai_messages import MESSAGES, call_id, read_messages
from ponant.server.dialects.table import RefusedFieldError
from ponant.server.wiring import make_app, make_catalog
from ponant.settings import Settings
from ponant.storage.lazy import LazyStorage
from tests.soak import examples

UNAVAILABLE = 503
"""Status of every valid request while the models are not loaded."""

words = st.sampled_from(
    ["", "text", "function", "json_schema", "custom", "allowed_tools", "assistant", "user", "auto", "none", "seed"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
    | st.text()
)
names = words | st.sampled_from(["type", "function", "name", "content", "id", "parameters", "schema", "arguments"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=6,
)


def messages() -> st.SearchStrategy[Any]:
    parts = st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "refusal", "image_url", "input_audio", "file"])},
        optional={"text": values, "refusal": values, "prompt_cache_breakpoint": values, "input_audio": values},
    )
    calls = st.fixed_dictionaries(
        {}, optional={"id": values, "type": words, "function": values, "index": values, "custom": values}
    )
    texts = st.text() | st.lists(parts, max_size=2)
    fields = sorted({name for table in MESSAGES.values() for name in table.rules} - {"role", "content", "tool_calls"})
    message = st.fixed_dictionaries(
        {"role": st.sampled_from([*MESSAGES, "nobody"]), "content": texts | values},
        optional={"tool_calls": st.lists(calls, max_size=2) | values} | dict.fromkeys(fields, st.text() | values),
    )
    return st.lists(message | values, max_size=4)


def bodies(fields: list[str], **known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(known, optional=dict.fromkeys(fields, values)) | st.dictionaries(
        st.sampled_from(fields) | st.text(), values, max_size=6
    )


chats = bodies(sorted(set(CHAT_RULES) - {"messages"}), messages=messages())


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Client of the real application, with models that are never loaded."""
    served = Settings()
    storage = LazyStorage(tmp_path_factory.mktemp("data"))
    app = make_app(make_catalog(served), served, storage)
    with contextlib.closing(storage), TestClient(app, base_url="http://localhost") as client:
        yield client


def is_clear(response: Any, refusals: set[int]) -> bool:
    return response.status_code == UNAVAILABLE or response.status_code in refusals


every = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@every
@given(body=chats)
@pytest.mark.parametrize(("path", "status"), [("/openai", 400), ("/nim", 422), ("", None)])
def test_any_chat_body_is_read_or_refused(
    client: TestClient, path: str, status: int | None, body: dict[str, Any]
) -> None:
    response = client.post(f"{path}{CHAT}", json=body)
    assert is_clear(response, {status} if status else {400, 422}), response.text
    assert path != "/openai" or response.json().keys() == {"error"}


@every
@given(
    body=bodies(
        sorted(set(OPENAI.tables[TEXT].rules) - {"prompt"}), prompt=st.text() | st.lists(st.text(), max_size=3) | values
    )
)
def test_any_text_body_is_read_or_refused(client: TestClient, body: dict[str, Any]) -> None:
    response = client.post(TEXT, json=body)
    assert is_clear(response, {400}), response.text


@every
@given(body=bodies(sorted(OPENAI.tables[EMBEDDINGS].rules)))
def test_any_embedding_body_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        fields = OPENAI.tables[EMBEDDINGS].read(body).fields
    except RefusedFieldError as error:
        assert error.where[0] in body
    else:
        assert "dimensions" not in fields


@every
@given(body=chats)
def test_what_the_tables_refuse_is_in_the_body(body: dict[str, Any]) -> None:
    for dialect in (OPENAI, NIM):
        before = json.dumps(body)
        try:
            dialect.tables[CHAT].read(body)
        except RefusedFieldError as error:
            place: Any = body
            for step in error.where:
                place = place[step]
        assert json.dumps(body) == before


@every
@given(body=chats)
def test_errors_name_a_place_in_the_body(body: dict[str, Any]) -> None:
    exchange = DialectExchange(CHAT, OPENAI)
    try:
        ChatCompletionRequest.model_validate(exchange.read(body))
    except RefusedFieldError:
        return
    except ValidationError as error:
        detail: Any = [reason | {"loc": exchange.as_sent(("body", *reason["loc"]))} for reason in error.errors()]
        status, content = exchange.answers.whole(422, json.dumps({"detail": detail}, default=str).encode())
        assert status == 400
        param = json.loads(content)["error"]["param"]
        assert param is None or param.split(".")[0].split("[")[0] in {*body, "messages", ""} or param[0] in ".["


# Messages


def conversation(*messages: dict[str, Any]) -> Any:
    return read_messages(list(messages))["messages"]


def test_ids_of_calls_become_mistrals_in_call_and_result() -> None:
    call = {"id": "call_abcdefghijklmnop", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    made, result = conversation(
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "1"},
    )
    assert made["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == 9
    assert result["tool_call_id"].isalnum()
    assert call_id("abcdefgh1") == "abcdefgh1"


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (
            {
                "role": "assistant",
                "content": None,
                "refusal": "No.",
                "audio": None,
                "annotations": [],
                "tool_calls": None,
            },
            {"role": "assistant", "content": "No."},
        ),
        (
            {"role": "assistant", "content": "Yes", "reasoning_content": "Hm", "tool_calls": []},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
                    {"type": "text", "text": "Yes"},
                ],
            },
        ),
        (
            {
                "role": "user",
                "content": [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}],
            },
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
        ),
    ],
)
def test_messages_are_read(sent: dict[str, Any], read: dict[str, Any]) -> None:
    assert conversation(sent) == [read]


def test_calls_and_results_of_functions_belong_together() -> None:
    call = {"name": "f", "arguments": "{}"}
    made, result = conversation(
        {"role": "assistant", "content": None, "function_call": call}, {"role": "function", "name": "f", "content": "1"}
    )
    (tool_call,) = made["tool_calls"]
    assert tool_call["function"] == call
    assert result == {"role": "tool", "name": "f", "content": "1", "tool_call_id": tool_call["id"]}


def test_several_names_of_a_role_are_told() -> None:
    ada, bob = ({"role": "user", "name": name, "content": "Hi"} for name in ("Ada", "Bob"))
    assert [message["content"] for message in conversation(ada, bob)] == ["Ada: Hi", "Bob: Hi"]
    assert [message["content"] for message in conversation(ada, ada)] == ["Hi", "Hi"]


# Fields


def read_chat(**fields: Any) -> dict[str, Any]:
    return OPENAI.tables[CHAT].read(fields).fields


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"max_completion_tokens": 5, "max_tokens": None}, {"max_tokens": 5}),
        ({"max_completion_tokens": 5, "max_tokens": 5}, {"max_tokens": 5}),
        ({"seed": -1}, {"random_seed": 2**64 - 1}),
        ({"user": "u", "store": False, "service_tier": "flex"}, {}),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "strict": None}}]},
            {
                "tools": [
                    {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
                ]
            },
        ),
        ({"function_call": {"name": "f"}}, {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": None}}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
        ),
        (
            {
                "prediction": {
                    "type": "content",
                    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                }
            },
            {"prediction": {"type": "content", "content": "ab"}},
        ),
    ],
)
def test_fields_are_translated(sent: dict[str, Any], read: dict[str, Any]) -> None:
    assert read_chat(**sent) == read


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        ({"max_completion_tokens": 5, "max_tokens": 6}, ("max_tokens",)),
        ({"seed": 1, "random_seed": 2}, ("random_seed",)),
        ({"store": True}, ("store",)),
        ({"store": 0}, ("store",)),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, ("tools", 0)),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, ("tool_choice",)),
        ({"stream_options": {"include_usage": "yes"}}, ("stream_options", "include_usage")),
        ({"stream_options": {"colour": True}}, ("stream_options", "colour")),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, ("messages", 0, "content", 0)),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, ("messages", 0, "audio")),
    ],
)
def test_what_cannot_be_translated_is_refused_where_it_stands(
    sent: dict[str, Any], where: tuple[str | int, ...]
) -> None:
    with pytest.raises(RefusedFieldError) as caught:
        read_chat(**sent)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"type": "invalid_model", "code": "1500"}, (404, "invalid_request_error", "model_not_found")),
        (400, {"type": "context_length_exceeded"}, (400, "invalid_request_error", "context_length_exceeded")),
        (400, {"type": "invalid_request_error"}, (400, "invalid_request_error", None)),
        (413, {"type": "request_too_large"}, (413, "invalid_request_error", "request_too_large")),
        (429, {"type": "rate_limited", "code": "1300"}, (429, "rate_limit_error", "rate_limit_exceeded")),
        (503, {"type": "unavailable", "code": "3700"}, (503, "server_error", "unavailable")),
    ],
)
def test_errors_have_openais_shape(status: int, error: dict[str, Any], expected: tuple[int, str, str | None]) -> None:
    exchange = DialectExchange(CHAT, OPENAI)
    exchange.read({"seed": 1})
    sent = {"object": "error", "message": "No.", "param": "random_seed", "code": None} | error
    status, content = exchange.answers.whole(status, json.dumps(sent).encode())
    told = json.loads(content)["error"]
    assert (status, told["type"], told["code"]) == expected
    assert told["message"] == "No."
    if expected[2] in (None, "context_length_exceeded"):
        assert told["param"] == "seed"


def _embedding_answers() -> Callable[[dict[str, Any]], dict[str, Any]]:
    exchange = DialectExchange(EMBEDDINGS, OPENAI)
    assert exchange.read({"input": ["a"], "dimensions": 2, "user": "u", "encoding_format": "base64"}) == {
        "input": ["a"],
        "output_dimension": 2,
        "encoding_format": "base64",
    }
    return lambda response: json.loads(exchange.answers.whole(200, json.dumps(response).encode())[1])


def test_embeddings_have_openais_shape() -> None:
    data = [{"object": "embedding", "index": 0, "embedding": "AACAPwAAAAA="}]
    usage = {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1, "num_cached_tokens": None}
    sent = {"id": "embd-1", "object": "list", "model": "e5", "data": data, "usage": usage}
    assert _embedding_answers()(sent) == {
        "object": "list",
        "data": data,
        "model": "e5",
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }
