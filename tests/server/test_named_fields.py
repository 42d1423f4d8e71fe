"""Fields that errors name: those that were sent, as they were sent."""

from typing import Any

import pytest

from tests.chatting import CHAT, body
from tests.in_process import ScriptedServer

OPENAI = f"/openai{CHAT}"
NIM = f"/nim{CHAT}"
TEXT = "/v1/completions"
FIM = "/v1/fim/completions"
FUNCTION = {"name": "f", "parameters": {"type": "object"}}
NAMED: dict[str, tuple[str, dict[str, Any], Any]] = {
    "a function without a name": (OPENAI, {"functions": [{}]}, "functions[0].name"),
    "the second function's name": (OPENAI, {"functions": [FUNCTION, {"name": 5}]}, "functions[1].name"),
    "a function's bad name": (OPENAI, {"functions": [FUNCTION | {"name": "a b"}]}, "functions[0].name"),
    "a function's bad parameters": (OPENAI, {"functions": [FUNCTION | {"parameters": 5}]}, "functions[0].parameters"),
    "a function that is none": (OPENAI, {"functions": [5]}, "functions[0]"),
    "a function's bad schema": (
        OPENAI,
        {"functions": [FUNCTION | {"parameters": {"type": "object", "properties": {"a": {"type": "what"}}}}]},
        "functions[0].parameters",
    ),
    "a forced function without a name": (
        OPENAI,
        {"functions": [FUNCTION], "function_call": {}},
        "function_call.name",
    ),
    "a tool's bad name": (
        OPENAI,
        {"tools": [{"type": "function", "function": FUNCTION | {"name": "a b"}}]},
        "tools[0].function.name",
    ),
    "a seed": (OPENAI, {"seed": "x"}, "seed"),
    "a limit": (OPENAI, {"max_completion_tokens": "x"}, "max_completion_tokens"),
    "a function without a name, by NIM": (NIM, {"functions": [{}]}, ["body", "functions", 0, "name"]),
    "a function's bad name, by NIM": (NIM, {"functions": [FUNCTION | {"name": "a b"}]}, "functions[0].name"),
    "a seed, by NIM": (NIM, {"seed": "x"}, ["body", "seed"]),
    "a prompt": (TEXT, {"prompt": {"a": 1}}, "prompt"),
    "a prompt in a list": (TEXT, {"prompt": ["a", None]}, "prompt[1]"),
    "log-probabilities": (TEXT, {"prompt": "a", "logprobs": "x"}, "logprobs"),
    "too much of a text": (TEXT, {"prompt": "a", "max_tokens": 100_000}, "max_tokens"),
    "too long a text": (TEXT, {"prompt": "a b " * 4000, "max_tokens": 1}, "prompt"),
    "too much of code": (FIM, {"prompt": "a", "max_tokens": 100_000}, "max_tokens"),
    "too long a code": (FIM, {"prompt": "a b " * 4000}, "prompt"),
    "too much of an answer": (CHAT, {"max_tokens": 100_000}, "messages"),
    "an empty stop string": (CHAT, {"stop": ""}, ["body", "stop", "str"]),
    "an empty stop string in a list": (CHAT, {"stop": ["a", ""]}, ["body", "stop", "list[str]", 1]),
    "an empty stop string of code": (FIM, {"prompt": "a", "stop": [""]}, ["body", "stop", "list[str]", 0]),
    "an empty stop string, by OpenAI": (OPENAI, {"stop": [""]}, "stop"),
    "an empty stop string of a text": (TEXT, {"prompt": "a", "stop": ""}, "stop"),
    "dimensions": ("/openai/v1/embeddings", {"input": "a", "dimensions": 0}, "dimensions"),
    "too many dimensions": ("/openai/v1/embeddings", {"input": "a", "dimensions": 9999}, "dimensions"),
    "an empty input": ("/v1/embeddings", {"input": ""}, "input"),
    "no input": ("/v1/embeddings", {}, ["body", "input"]),
}


@pytest.mark.parametrize(("path", "fields", "named"), NAMED.values(), ids=NAMED)
def test_errors_name_the_field_that_was_sent(
    scripted_server: ScriptedServer, path: str, fields: dict[str, Any], named: Any
) -> None:
    sent = body(**fields) if path.endswith(CHAT) else fields
    with scripted_server.client() as client:
        response = client.post(path, json=sent)
    assert response.status_code in (400, 422), response.text
    told = response.json()
    if "detail" in told:
        assert named in [detail["loc"] for detail in told["detail"]]
    else:
        error = told.get("error", told)
        assert error["param"] == named
    assert "function-" not in response.text
    assert "constrained" not in response.text


@pytest.mark.parametrize("path", [OPENAI, NIM])
@pytest.mark.parametrize("name", ["max_completion_tokens", "max_tokens"])
def test_messages_name_the_field_that_was_sent(scripted_server: ScriptedServer, path: str, name: str) -> None:
    sent = {"messages": body()["messages"], "min_tokens": 9, name: 5}
    with scripted_server.client() as client:
        told = client.post(path, json=sent).json()
    assert told.get("error", told)["message"] == f"min_tokens is greater than {name}"


@pytest.mark.parametrize(
    ("sent", "input_"), [({"stop": ["a"]}, {"stop": ["a"]}), ({"messages": [], "functions": [{"a": 1}]}, {"a": 1})]
)
def test_errors_repeat_what_was_sent_and_no_defaults(scripted_server: ScriptedServer, sent: Any, input_: Any) -> None:
    with scripted_server.client() as client:
        detail = client.post(NIM, json=sent).json()["detail"]
    assert input_ in [reason["input"] for reason in detail if reason["type"] == "missing"]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/openai/v1/embeddings", "/embeddings"])
@pytest.mark.parametrize("model", [{}, {"model": None}])
def test_first_embedding_model_answers_requests_that_name_none(
    scripted_server: ScriptedServer, path: str, model: dict[str, None]
) -> None:
    with scripted_server.client() as client:
        response = client.post(path, json={"input": "Hello", **model})
    assert response.status_code == 200, response.text
    assert response.json()["model"] == "multilingual-e5-small"
