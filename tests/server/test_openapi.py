"""The served OpenAPI document and real responses agree with the specification of the API."""

import copy
import json
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ponant.server.document.documents import Documents
from tests.chatting import CHAT, answer, ask, events
from tests.in_process import ServerInProcess
from tests.server.openapi_compare import differences
from tests.serving import RunningServer

OPERATIONS = [
    ("post", CHAT),
    ("post", "/v1/fim/completions"),
    ("post", "/v1/embeddings"),
    ("get", "/v1/models"),
    ("get", "/v1/models/{model_id}"),
    ("delete", "/v1/models/{model_id}"),
    ("post", "/v1/files"),
    ("get", "/v1/files"),
    ("get", "/v1/files/{file_id}"),
    ("delete", "/v1/files/{file_id}"),
    ("get", "/v1/files/{file_id}/content"),
    ("get", "/v1/files/{file_id}/url"),
]
ADDITIONS = [
    "usage.completion_tokens_details",
    "choices[].logprobs",
    "choices[].prompt_logprobs",
    "choices[].message.content[].signature",
    "choices[].delta.content[].signature",
    'choices[].finish_reason="model_length"',
    "data[].embedding=array",
    "data[].embedding=string",
]
"""Places in responses where the API has more than its specification says."""


BOUNDED = [
    *("random_seed", "max_tokens", "min_tokens", "n", "output_dimension", "expiry", "page", "page_size", "mimetypes"),
    *("messages[].tool_calls[].index", "messages[].content[].reference_ids[]"),
    "messages[].content[].thinking[].reference_ids[]",
]
"""Integers in requests that the specification leaves without an upper bound, and texts without a pattern."""
LIMITED = {
    *("messages", "messages[].content", "messages[].content[].thinking", "messages[].tool_calls"),
    *("messages[].content[].reference_ids", "messages[].content[].thinking[].reference_ids"),
    *("tools", "stop", "guardrails", "input"),
}
"""Lists in requests that the specification leaves without a limit."""
NOT_EMPTY = ("messages: minItems 1", "stop: minLength 1", "stop[]: minLength 1")
"""Values in requests that must not be empty, of which the specification says nothing."""


@pytest.fixture(scope="module")
def validate(specification: dict[str, Any]) -> Callable[[str, Any], None]:
    """Check a value against a schema of the specification, with its error corrected and the additions made."""
    schemas = copy.deepcopy(specification["components"]["schemas"])
    schemas["ChatCompletionResponse"]["allOf"][1]["required"].remove("data")
    schemas["CompletionResponseStreamChoice"]["properties"]["finish_reason"]["enum"].append("model_length")

    def check(name: str, value: Any) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        Draft202012Validator(schema).validate(value)

    return check


def test_served_document_exceeds_the_specification_by_the_additions_alone(
    tiny_server: RunningServer, specification: dict[str, Any]
) -> None:
    with tiny_server.client() as client:
        served = client.get("/openapi.json").json()
    found = differences(served, specification, OPERATIONS, allowed=ADDITIONS, narrower=BOUNDED)
    limits = [re.fullmatch(r".* application/json (\S+): maxItems \d+ is too narrow", line) for line in found]
    assert {limit[1] for limit in limits if limit} == LIMITED
    others = [line for line, limit in zip(found, limits, strict=True) if not limit]
    assert [line for line in others if not line.removesuffix(" is too narrow").endswith(NOT_EMPTY)] == []


def test_document_is_built_off_the_event_loop(tiny_server: ServerInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    def build(_: Documents, api: str, address: str) -> bytes:
        threads.append(threading.current_thread().name)
        return json.dumps([api, address]).encode()

    monkeypatch.setattr(Documents, "document", build)
    with tiny_server.client() as client:
        assert client.get("/openapi.json").json() == ["mistral", tiny_server.url]
        assert client.get("/nim/openapi.json").json() == ["nim", tiny_server.url]
    assert len(threads) == 2
    assert tiny_server.call(threading.current_thread).name not in threads


def test_document_is_built_once_for_an_address(tiny_server: ServerInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    with tiny_server.client() as client:
        documents = [client.get("/openapi.json").content]
        monkeypatch.setattr(Documents, "_build", lambda *_: pytest.fail("a second document"))
        documents += [
            client.get("/openapi.json", headers={"host": host}).content for host in ("localhost", "127.0.0.1")
        ]
        assert client.get("/openapi.json").content == documents[0]
    assert len(set(documents)) == 3


ASKED: list[dict[str, Any]] = [
    {},
    {"n": 3, "random_seed": 1, "temperature": 1.0},
    {"max_tokens": 0},
    {"max_tokens": None, "min_tokens": 100_000},
    {"model": "mistral-small-latest", "temperature": 0, "stop": " "},
    {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Well", "prefix": True}]},
]


@pytest.mark.parametrize("fields", ASKED)
def test_answers_are_valid(
    tiny_server: RunningServer, validate: Callable[[str, Any], None], fields: dict[str, Any]
) -> None:
    validate("ChatCompletionResponse", answer(tiny_server, **fields))


@pytest.mark.parametrize("fields", ASKED)
def test_chunks_of_streams_are_valid(
    tiny_server: RunningServer, validate: Callable[[str, Any], None], fields: dict[str, Any]
) -> None:
    for chunk in events(tiny_server, **fields):
        validate("CompletionEvent", {"data": chunk})


def test_models_are_valid(tiny_server: RunningServer, validate: Callable[[str, Any], None]) -> None:
    with tiny_server.client() as client:
        models = client.get("/v1/models").json()
        validate("ModelList", models)
        for card in models["data"]:
            validate("BaseModelCard", card)
            assert client.get(f"/v1/models/{card['id']}").json() == card


def test_files_are_valid(tiny_server: RunningServer, validate: Callable[[str, Any], None]) -> None:
    with tiny_server.client() as client:
        for purpose in ("fine-tune", "batch", "ocr"):
            fields = {"purpose": purpose, "expiry": "1"}
            uploaded = client.post("/v1/files", data=fields, files={"file": ("a.jsonl", b"{}")}).json()
            validate("UploadFileOut", uploaded)
            path = f"/v1/files/{uploaded['id']}"
            validate("RetrieveFileOut", client.get(path).json())
            validate("ListFilesOut", client.get("/v1/files").json())
            validate("FileSignedURL", client.get(f"{path}/url").json())
            validate("DeleteFileOut", client.delete(path).json())


def test_refusals_are_valid(tiny_server: RunningServer, validate: Callable[[str, Any], None]) -> None:
    refused: list[dict[str, Any]] = [
        {"temperature": 7},
        {"colour": "blue"},
        {"messages": []},
        {"messages": [{"role": "user"}]},
    ]
    for fields in refused:
        validate("HTTPValidationError", ask(tiny_server, **fields).json())
