"""The Mistral API over HTTP, strict, and as its first client uses it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponant.server.dialects.mistral import STRICT
from tests.chatting import CHAT, assert_error, body, texts
from tests.in_process import serving_scripted
from tests.server.dialects import EARLY, OPENAI, WEATHER, chunks_of, is_openai, post, posted
from tests.serving import RunningServer

# Strict


@pytest.fixture(scope="module")
def strict_server(tiny_model: Path) -> Iterator[RunningServer]:
    with serving_scripted(tiny_model, ("tiny",), strict=True) as server:
        yield server


@pytest.mark.parametrize(
    ("field", "value"),
    [("safe_mode", True), ("colour", "blue"), ("seed", 1), ("user", None)],
)
def test_strict_refuses_what_the_api_refuses(strict_server: RunningServer, field: str, value: Any) -> None:
    response = post(strict_server, CHAT, body(**{field: value}))
    assert response.status_code == 422
    (reason,) = response.json()["detail"]
    assert (reason["loc"], reason["input"]) == (["body", field], value)


def test_strict_refuses_token_ids(strict_server: RunningServer) -> None:
    for tokens in ([1, 2], [[1], [2]]):
        response = post(strict_server, "/v1/embeddings", {"model": "mistral-embed", "input": tokens})
        assert response.status_code == 422, response.text
        assert "send text" in response.text


def test_strict_recognises_nobody(strict_server: RunningServer) -> None:
    refused = post(strict_server, CHAT, body(seed=1), user_agent="OpenAI/Python 3")
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "seed"]
    assert not is_openai(posted(strict_server, CHAT, body(random_seed=1, safe_prompt=True)))
    assert is_openai(posted(strict_server, OPENAI, body(seed=1, safe_mode=True)))


NEWEST: dict[str, Any] = {
    "min_tokens": 1,
    "repetition_penalty": 1.0,
    "top_k": 3,
    "logprobs": True,
    "top_logprobs": 1,
    "service_tier": "standard_only",
}
"""Fields of Mistral's newest client that the specification does not have, with values."""


def test_strict_accepts_the_fields_of_the_newest_client(strict_server: RunningServer) -> None:
    for fields in (NEWEST, dict.fromkeys(NEWEST)):
        assert not is_openai(posted(strict_server, CHAT, body(**fields)))


def test_strict_knows_the_fields_of_the_specification(specification: dict[str, Any]) -> None:
    schemas = specification["components"]["schemas"]
    rules = STRICT.tables[CHAT].rules
    kept = {name for name, rule in rules.items() if rule.says == "kept"}
    assert kept >= schemas["ChatCompletionRequest"]["properties"].keys() | NEWEST.keys()


# The requests of Mistral's first client


def test_early_client_chats_and_streams(tiny_server: RunningServer) -> None:
    question = [{"role": "user", "content": "Hello"}]
    sent = {"messages": question, "model": "mistral-tiny", "max_tokens": 8, "random_seed": 1, "safe_prompt": True}
    response = posted(tiny_server, CHAT, sent | {"stream": False}, **EARLY)
    assert response["choices"][0]["message"]["content"]
    streamed = chunks_of(post(tiny_server, CHAT, sent | {"stream": True}, **EARLY | {"accept": "text/event-stream"}))
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in streamed) == texts(response)[0]
    older = {name: value for name, value in sent.items() if name != "safe_prompt"}
    assert texts(posted(tiny_server, CHAT, older | {"safe_mode": True}, **EARLY)) == texts(response)
    assert texts(posted(tiny_server, CHAT, older, **EARLY)) != texts(response)


def test_early_client_gets_calls_whole(roomy_server: RunningServer) -> None:
    question = [{"role": "user", "content": "Hello"}]
    sent = {"messages": question, "model": "mistral-tiny", "tools": [WEATHER], "tool_choice": "any", "random_seed": 1}
    response = posted(roomy_server, CHAT, sent | {"max_tokens": 200}, **EARLY)
    (choice,) = response["choices"]
    calls = choice["message"]["tool_calls"]
    streamed = chunks_of(post(roomy_server, CHAT, sent | {"max_tokens": 200, "stream": True}, **EARLY))
    assert [calls for chunk in streamed if (calls := chunk["choices"][0]["delta"].get("tool_calls"))] == [calls]


def test_early_client_knows_few_reasons_to_finish(tiny_server: RunningServer) -> None:
    sent = {"messages": [{"role": "user", "content": "Hello"}], "random_seed": 2}
    assert posted(tiny_server, CHAT, sent)["choices"][0]["finish_reason"] == "model_length"
    assert posted(tiny_server, CHAT, sent, **EARLY)["choices"][0]["finish_reason"] == "length"
    *_, last = chunks_of(post(tiny_server, CHAT, sent | {"stream": True}, **EARLY))
    assert last["choices"][0]["finish_reason"] == "length"


def test_early_client_lists_models_and_fills_in(tiny_server: RunningServer) -> None:
    with tiny_server.client() as client:
        models = client.request("GET", "/v1/models", json={}, headers={"user-agent": EARLY["user_agent"]}).json()
    assert models["object"] == "list"
    assert {"id", "object", "created", "owned_by"} <= models["data"][0].keys()
    sent = {"prompt": "a", "suffix": None, "model": "codestral-latest", "stream": False, "max_tokens": 4}
    assert texts(posted(tiny_server, "/v1/fim/completions", sent, **EARLY))
    assert_error(post(tiny_server, CHAT, body(model="no-such-model"), **EARLY), 400, "invalid_model")
