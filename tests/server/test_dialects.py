"""Choice and behaviour of dialects over HTTP. OpenAI's clients have a test suite of their own."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.chatting import CHAT, assert_has_id, body, data_of, texts
from tests.in_process import serving_scripted
from tests.scripted_engine import Gate
from tests.server.dialects import EARLY, NIM, OPENAI, WEATHER, chunks_of, is_openai, post, posted
from tests.serving import RunningServer

NIM_MODEL = "mistralai/mistral-7b-instruct-v0.2"
KEY = "a-key"


# Choice of the dialect


@pytest.mark.parametrize(
    ("path", "fields", "agent", "expected"),
    [
        (CHAT, {}, "curl/8", False),
        (CHAT, {"random_seed": 1}, "curl/8", False),
        (CHAT, {"seed": 1}, "curl/8", True),
        (CHAT, {"user": None}, "curl/8", True),
        (CHAT, {}, "OpenAI/Python 3.52.0", True),
        (CHAT, {}, "AsyncOpenAI/Python 3.52.0", True),
        (CHAT, {}, "MyOpenAI/Python 3.52.0", False),
        (OPENAI, {}, "curl/8", True),
        (f"{OPENAI}/", {}, "curl/8", True),
        (OPENAI, {"random_seed": 1}, "mistral-client-python/1.9", True),
        ("/chat/completions", {}, "curl/8", False),
        ("/chat/completions", {}, "OpenAI/JS 6", True),
        (CHAT, {"seed": 1}, "python-httpx/0.28.1", True),
        (CHAT, {"service_tier": "priority"}, "curl/8", False),
        (CHAT, {"service_tier": None}, "mistral-client-python/3.7.0", False),
        (CHAT, {"service_tier": "default"}, "mistral-client-typescript/2.7.0", False),
    ],
)
def test_a_dialect_is_recognised(
    tiny_server: RunningServer, path: str, fields: dict[str, Any], agent: str, expected: bool
) -> None:
    assert is_openai(posted(tiny_server, path, body(**fields), user_agent=agent)) == expected


@pytest.mark.parametrize(
    "path",
    ["/v1/completions", "/completions", "/openai/v1/completions", "/nim/v1/completions", "//nim/v1//completions/"],
)
def test_text_completions_are_openais_at_every_path(tiny_server: RunningServer, path: str) -> None:
    sent = {"model": "tiny", "prompt": "a", "max_tokens": 2, "seed": -1}
    response = posted(tiny_server, path, sent)
    assert (response["object"], response["choices"][0]["finish_reason"]) == ("text_completion", "length")
    assert post(tiny_server, path, sent | {"echo": 5}).json()["error"]["param"] == "echo"


def test_errors_are_in_the_dialect_of_the_request(tiny_server: RunningServer) -> None:
    wrong = body(temperature=9)
    assert post(tiny_server, CHAT, wrong).status_code == 422
    for path, fields in ((OPENAI, {}), (CHAT, {"user": "u"})):
        response = post(tiny_server, path, wrong | fields)
        assert response.status_code == 400
        assert_has_id(response)
        error = response.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert (error["type"], error["param"], error["code"]) == (
            "invalid_request_error",
            "temperature",
            "invalid_value",
        )


def test_everything_that_can_go_wrong_has_openais_shape(tiny_server: RunningServer) -> None:
    with tiny_server.client() as client:
        json_type = {"content-type": "application/json"}
        answers = [
            (client.post(OPENAI, content=b"{", headers=json_type), 400),
            (client.post(OPENAI, content=b"[]", headers=json_type), 400),
            (client.post(OPENAI, json=body(max_tokens=100_000)), 400),
            (client.post(OPENAI, json=body(model="no-such-model")), 404),
            (client.get("/openai/v1/no/such/path"), 404),
            (client.get("/openai/v1/models/no-such-model"), 404),
            (client.get(OPENAI), 405),
            (client.post(OPENAI, json=body(messages=[{"role": "tool", "content": "x"}])), 400),
        ]
    for response, status in answers:
        assert response.status_code == status, response.text
        assert response.json().keys() == {"error"}
        assert response.json()["error"]["message"]


SAID = {"role": "assistant", "content": "Hello"}
ASKED = {"role": "user", "content": "Hi"}
TOLD = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    "messages",
    [[SAID, ASKED], [ASKED, TOLD], [TOLD], [ASKED, SAID], [SAID], [SAID, TOLD], [SAID | {"prefix": True}]],
)
@pytest.mark.parametrize("path", [OPENAI, NIM])
def test_openais_conversations_begin_and_end_with_any_role(
    tiny_server: RunningServer, path: str, messages: list[dict[str, Any]]
) -> None:
    assert is_openai(posted(tiny_server, path, body(messages=messages)))
    assert post(tiny_server, CHAT, body(messages=messages)).json()["type"] == "invalid_request_message_order"


@pytest.mark.parametrize("wanted", ["json_object", "json_schema"])
def test_a_bare_schema_beside_the_type_is_held(roomy_server: RunningServer, wanted: str) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}
    asked = body(response_format={"type": wanted, "schema": schema}, max_tokens=60)
    (text,) = texts(posted(roomy_server, OPENAI, asked))
    assert json.loads(text) == {"city": "Paris"}
    wrong = post(roomy_server, OPENAI, body(response_format={"type": wanted, "schema": {"type": "colour"}})).json()
    assert wrong["error"]["param"] == "response_format.schema"
    assert "json_schema.schema" not in wrong["error"]["message"]


ENDING: dict[str, dict[str, Any]] = {
    "text": {},
    "log-probabilities": {"logprobs": True},
    "a call": {"tools": [WEATHER], "tool_choice": "required", "max_tokens": 200},
    "a cut call": {"tools": [WEATHER], "tool_choice": "required", "max_tokens": 9},
    "a function's call": {"functions": [WEATHER["function"]], "function_call": {"name": "get_weather"}},
    "thinking": {"reasoning_effort": "low"},
    "several choices and the usage": {"n": 2, "stream_options": {"include_usage": True}},
}


@pytest.mark.parametrize("fields", ENDING.values(), ids=ENDING)
def test_openais_last_chunk_of_a_choice_has_nothing_but_its_finish_reason(
    roomy_server: RunningServer, fields: dict[str, Any]
) -> None:
    chunks = chunks_of(post(roomy_server, OPENAI, body(stream=True, seed=1) | fields))
    ends = [choice for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert len(ends) == fields.get("n", 1)
    for end in ends:
        assert (end["delta"], end["logprobs"]) == ({}, None)
    assert [chunk["choices"] for chunk in chunks].count([]) == int("stream_options" in fields)


def test_last_chunk_of_a_text_has_nothing_but_its_finish_reason(tiny_server: RunningServer) -> None:
    asked = {"prompt": "Once", "max_tokens": 6, "seed": 1, "temperature": 0}
    (whole,) = posted(tiny_server, "/v1/completions", asked)["choices"]
    *pieces, end = [
        chunk["choices"][0] for chunk in chunks_of(post(tiny_server, "/v1/completions", asked | {"stream": True}))
    ]
    assert "".join(piece["text"] for piece in pieces) == whole["text"]
    assert {piece["finish_reason"] for piece in pieces} == {None}
    assert (end["text"], end["finish_reason"]) == ("", whole["finish_reason"])


def test_openais_answers_have_the_fingerprint_of_the_server(tiny_server: RunningServer, tiny_model: Path) -> None:
    whole = posted(tiny_server, OPENAI, body())["system_fingerprint"]
    text = posted(tiny_server, "/v1/completions", {"prompt": "Once", "max_tokens": 2})["system_fingerprint"]
    chunks = {chunk["system_fingerprint"] for chunk in chunks_of(post(tiny_server, OPENAI, body(stream=True)))}
    assert whole.startswith("fp_")
    assert chunks == {whole} == {text}
    assert "system_fingerprint" not in posted(tiny_server, CHAT, body())
    with serving_scripted(tiny_model, deterministic=True) as other:
        assert posted(other, OPENAI, body())["system_fingerprint"] != whole


def test_a_stream_that_fails_ends_with_openais_error(tiny_model: Path) -> None:
    with serving_scripted(tiny_model, api_keys=[KEY], request_timeout=0.2) as server:
        server.engine.usual = lambda _: ("Once", Gate())
        assert post(server, OPENAI, body()).json()["error"]["code"] == "invalid_api_key"
        assert post(server, "/chat/completions", body()).json() == {"detail": "Unauthorized"}
        assert post(server, "/files", body()).status_code == 401
        with server.client(key=KEY) as client:
            whole = client.post(OPENAI, json=body())
            data = list(data_of(client.post(OPENAI, json=body(stream=True))))
    assert (whole.status_code, whole.json()["error"]["type"]) == (504, "server_error")
    assert json.loads(data[-1])["error"]["code"] == "timeout"
    assert json.loads(data[-1]).keys() == {"error"}


@pytest.mark.parametrize("path", ["/chat/completions", "/fim/completions", "/models", "/models/tiny"])
def test_paths_are_answered_without_their_version(tiny_server: RunningServer, path: str) -> None:
    with tiny_server.client() as client:
        if path.startswith("/models"):
            assert client.get(path).json() == client.get(f"/v1{path}").json()
            return
        sent: dict[str, Any] = {"prompt": "a"} if "fim" in path else {"messages": [{"role": "user", "content": "a"}]}
        sent |= {"max_tokens": 4, "random_seed": 1}
        assert texts(client.post(path, json=sent).json()) == texts(client.post(f"/v1{path}", json=sent).json())


# NVIDIA NIM


def test_nim_has_defaults_of_its_own(roomy_server: RunningServer) -> None:
    sent: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
    first, second = (posted(roomy_server, NIM, sent) for _ in range(2))
    assert first["model"] == NIM_MODEL
    assert first["usage"]["completion_tokens"] == 1024
    assert texts(first) == texts(second)
    spelled_out: dict[str, Any] = {
        "model": NIM_MODEL,
        "max_tokens": 1024,
        "stream": False,
        "temperature": 0.3,
        "top_p": 1,
        "stop": None,
        "frequency_penalty": 0,
        "presence_penalty": 0,
        "seed": 0,
    }
    assert texts(posted(roomy_server, NIM, sent | spelled_out)) == texts(first)
    as_mistral = sent | {"max_tokens": 1024, "temperature": 0.3, "random_seed": 0}
    assert texts(posted(roomy_server, CHAT, as_mistral)) == texts(first)


def test_nims_seed_changes_the_answer(tiny_server: RunningServer) -> None:
    answers = {texts(posted(tiny_server, NIM, body(seed=seed, temperature=1)))[0] for seed in (0, 1, 2)}
    assert len(answers) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("temperature", -0.1),
        ("temperature", 1.1),
        ("top_p", 1.1),
        ("frequency_penalty", 2.1),
        ("frequency_penalty", -2.1),
        ("presence_penalty", 2.1),
        ("presence_penalty", -2.1),
        ("stream", "yes"),
        ("stop", 1),
        ("seed", "x"),
        ("messages", "Hello"),
        ("messages", []),
        ("colour", "blue"),
    ],
)
def test_nim_refuses_what_is_out_of_range(tiny_server: RunningServer, field: str, value: Any) -> None:
    response = post(tiny_server, NIM, body(**{field: value}))
    assert response.status_code == 422
    assert {tuple(reason["loc"][:2]) for reason in response.json()["detail"]} == {("body", field)}


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 1},
        {"temperature": 0, "top_p": 0},
        {"temperature": 1, "top_p": 1},
        {"frequency_penalty": 2, "presence_penalty": -2},
        {"frequency_penalty": -2, "presence_penalty": 2},
        {"model": "mistralai/mixtral-8x7b-instruct-v0.1"},
    ],
)
def test_nim_takes_what_is_in_range(tiny_server: RunningServer, fields: dict[str, Any]) -> None:
    assert texts(posted(tiny_server, NIM, body(**fields)))[0]


def test_nim_requires_messages(tiny_server: RunningServer) -> None:
    (reason,) = post(tiny_server, NIM, {}).json()["detail"]
    assert (reason["type"], reason["loc"]) == ("missing", ["body", "messages"])


@pytest.mark.parametrize("as_list", [False, True])
def test_nim_does_not_return_the_stop_string(tiny_server: RunningServer, as_list: bool) -> None:
    whole = texts(posted(tiny_server, NIM, body(max_tokens=30)))[0]
    stop = whole[10:13]
    stopped = posted(tiny_server, NIM, body(max_tokens=30, stop=[stop] if as_list else stop))
    assert texts(stopped)[0] == whole[: whole.index(stop)]
    assert stopped["choices"][0]["finish_reason"] == "stop"


def test_nim_streams(tiny_server: RunningServer) -> None:
    chunks = chunks_of(post(tiny_server, NIM, body(stream=True)))
    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    assert text == texts(posted(tiny_server, NIM, body()))[0]


def test_nim_is_spoken_at_v1_by_setting(tiny_model: Path) -> None:
    with serving_scripted(tiny_model, ("tiny",), dialect="nim", api_keys=[KEY]) as server:
        for path in (CHAT, NIM, "/chat/completions"):
            assert post(server, path, body()).status_code == 401
            response = posted(server, path, body(), authorization=f"Bearer {KEY}", user_agent="OpenAI/Python 3")
            assert response["model"] == NIM_MODEL
            refused = post(server, path, body(max_tokens=0), authorization=f"Bearer {KEY}")
            assert refused.status_code == 422
        with server.client(key=KEY) as client:
            card, *_ = client.get("/v1/models").json()["data"]
            assert card == client.get("/nim/v1/models").json()["data"][0] == client.get("/nim/v1/models/tiny").json()
    assert card.keys() == {"id", "object", "created", "owned_by"}


def test_openai_is_spoken_at_v1_by_setting(tiny_model: Path) -> None:
    with serving_scripted(tiny_model, ("tiny",), dialect="openai") as server:
        assert is_openai(posted(server, CHAT, body()))
        assert not is_openai(posted(server, "/v1/fim/completions", {"prompt": "a", "max_tokens": 2}))


# Tool calls


@pytest.mark.parametrize(
    ("path", "beside"), [(CHAT, ""), (f"/openai{CHAT}", None), (f"/nim{CHAT}", None)], ids=["mistral", "openai", "nim"]
)
def test_calls_stand_beside_an_empty_text_or_none(roomy_server: RunningServer, path: str, beside: str | None) -> None:
    choice = {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}}
    sent = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 200}
    (made,) = posted(roomy_server, path, sent | choice)["choices"]
    assert made["message"]["tool_calls"]
    assert made["message"]["content"] == beside


def streamed_calls(server: RunningServer, path: str, agent: str) -> list[list[list[dict[str, Any]]]]:
    """Return the pieces of the calls in each chunk that has some, for each of the stream's two choices."""
    function = {"name": "say", "parameters": {"type": "object", "properties": {"it": {"enum": ["yes", "no"]}}}}
    tools = [{"type": "function", "function": function}]
    asked = body(stream=True, tools=tools, tool_choice="required", random_seed=1, n=2, max_tokens=120)
    choices = [
        choice for chunk in chunks_of(post(server, path, asked, user_agent=agent)) for choice in chunk["choices"]
    ]
    deltas = [[choice["delta"] for choice in choices if choice["index"] == index] for index in range(2)]
    return [[delta["tool_calls"] for delta in of_choice if delta.get("tool_calls")] for of_choice in deltas]


@pytest.mark.parametrize(
    "agent",
    ["curl/8", "python-httpx/0.28.1", "ai-sdk/mistral/3.0.69", "mistral-client-python/3.7.0", EARLY["user_agent"]],
)
def test_streams_of_the_mistral_api_have_all_calls_of_an_answer_in_one_chunk(
    tiny_server: RunningServer, agent: str
) -> None:
    in_pieces = streamed_calls(tiny_server, OPENAI, agent)
    for pieces, whole in zip(in_pieces, streamed_calls(tiny_server, CHAT, agent), strict=True):
        assert len(pieces) > 1
        (calls,) = whole
        assert [call["index"] for call in calls] == list(range(len(calls)))
        for call in calls:
            parts = [piece for chunk in pieces for piece in chunk if piece["index"] == call["index"]]
            assert [part["id"] for part in parts if "id" in part] == [call["id"]]
            written = "".join(part["function"]["arguments"] for part in parts)
            assert call["function"] == {"name": "say", "arguments": written}


@pytest.mark.parametrize("path", [OPENAI, NIM])
def test_openais_streams_have_pieces_of_calls_whatever_the_setting(tiny_server: RunningServer, path: str) -> None:
    for chunks in streamed_calls(tiny_server, path, "curl/8"):
        assert len(chunks) > 1
