"""Model of Mistral's kind over HTTP, with its tokenizer file next to the weights."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.chatting import answer, ask, events
from tests.in_process import EXACT, serving_in_process
from tests.serving import RunningServer, ponant
from tests.soak import SOAK
from tests.tekken_model import write_tekken_model

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 5}, "days": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "Try it.", "parameters": PARAMETERS}}
    for name in ("get_weather", "get_forecast")
]
EAGER = {"[TOOL_CALLS]": 8.0, "</s>": 2.0}
"""Log-weights with which a random model often calls tools, and ends."""


@pytest.fixture(scope="module", params=["v3", "v11", "v13"])
def mistral_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp(request.param)
    with serving_in_process(write_tekken_model(folder, version=request.param, biases=EAGER), **EXACT) as server:
        yield server


def calls_of(choice: dict[str, Any]) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = choice["message"]["tool_calls"]
    for call in calls:
        assert re.fullmatch("[a-zA-Z0-9]{9}", call["id"])
        assert call["function"]["name"] in ("get_weather", "get_forecast")
        jsonschema.validate(json.loads(call["function"]["arguments"]), PARAMETERS)
    return calls


@pytest.mark.parametrize("seed", range(3 if SOAK else 1))
def test_calls_are_read_from_control_tokens(mistral_server: RunningServer, seed: int) -> None:
    fields: dict[str, Any] = {"tools": TOOLS, "tool_choice": "any", "random_seed": seed, "max_tokens": 600}
    (choice,) = answer(mistral_server, **fields)["choices"]
    assert choice["finish_reason"] in ("tool_calls", "length")
    if choice["finish_reason"] == "tool_calls":
        assert calls_of(choice)
        assert choice["message"]["content"] == ""


def test_one_call_where_more_are_not_wanted(mistral_server: RunningServer) -> None:
    (choice,) = answer(
        mistral_server, tools=TOOLS, tool_choice="any", parallel_tool_calls=False, random_seed=1, max_tokens=600
    )["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert len(calls_of(choice)) == 1


def test_model_that_begins_a_call_by_itself_must_make_one(mistral_server: RunningServer) -> None:
    called = 0
    for seed in range(6):
        (choice,) = answer(mistral_server, tools=TOOLS, parallel_tool_calls=False, random_seed=seed, max_tokens=600)[
            "choices"
        ]
        if choice["finish_reason"] == "tool_calls":
            called += 1
            assert calls_of(choice)
    assert called


def test_conversation_with_calls_and_results_goes_on(mistral_server: RunningServer) -> None:
    call = {"id": "abcdefgh1", "function": {"name": "get_weather", "arguments": '{"city": "Paris", "days": 1}'}}
    messages = [
        {"role": "user", "content": "The weather?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "abcdefgh1", "content": "[TOOL_CALLS] sunny </s>"},
    ]
    response = answer(mistral_server, messages=messages, tools=TOOLS, max_tokens=5)
    assert response["choices"][0]["finish_reason"] in ("stop", "length", "tool_calls")


def test_document_follows_its_schema(mistral_server: RunningServer) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": PARAMETERS}}
    (choice,) = answer(mistral_server, response_format=wanted, max_tokens=400)["choices"]
    assert choice["finish_reason"] == "stop"
    jsonschema.validate(json.loads(choice["message"]["content"]), PARAMETERS)


def test_stream_has_the_same_calls(mistral_server: RunningServer) -> None:
    fields: dict[str, Any] = {"tools": TOOLS, "tool_choice": "any", "random_seed": 2, "max_tokens": 300}
    whole = answer(mistral_server, **fields)["choices"][0]["message"]["tool_calls"]
    arguments: dict[int, str] = {}
    names: dict[int, str] = {}
    for event in events(mistral_server, **fields):
        for call in event["choices"][0]["delta"].get("tool_calls") or []:
            names[call["index"]] = names.get(call["index"], "") + call["function"]["name"]
            arguments[call["index"]] = arguments.get(call["index"], "") + call["function"]["arguments"]
    assert [(call["function"]["name"], call["function"]["arguments"]) for call in whole] == [
        (names[index], arguments[index]) for index in sorted(names)
    ]


@pytest.mark.parametrize("mistral_server", ["v13"], indirect=True)
def test_thoughts_stand_between_their_control_tokens(mistral_server: RunningServer) -> None:
    (choice,) = answer(mistral_server, prompt_mode="reasoning", random_seed=1, max_tokens=300)["choices"]
    content = choice["message"]["content"]
    assert [chunk["type"] for chunk in content] == ["thinking", "text"]
    earlier = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": "Go on"},
    ]
    assert ask(mistral_server, messages=earlier, prompt_mode="reasoning", max_tokens=5).status_code == 200


def test_tokenizer_that_is_not_the_models_is_refused(tmp_path: Path) -> None:
    weights = write_tekken_model(tmp_path, version="v13")
    (tmp_path / "tekken.json").write_text("{}")
    result = subprocess.run(ponant("serve", str(weights)), capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "tekken.json" in result.stderr
