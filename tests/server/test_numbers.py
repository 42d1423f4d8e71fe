"""Numbers of requests: each has bounds, and one that is out of bounds is refused before anything uses it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chatting import CHAT, ask, body
from tests.serving import RunningServer

FIM = "/v1/fim/completions"
TEXT = "/v1/completions"
OPENAI = "/openai/v1/chat/completions"
NIM = "/nim/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
JOBS = "/v1/fine_tuning/jobs"

JSON = {"content-type": "application/json"}
BODIES: dict[str, dict[str, Any]] = {
    CHAT: body(),
    OPENAI: body(),
    NIM: body(),
    FIM: {"prompt": "a", "max_tokens": 2},
    TEXT: {"prompt": "a", "model": "tiny"},
    EMBEDDINGS: {"input": "a", "model": "multilingual-e5-small"},
    JOBS: {"model": "tiny", "training_files": [{"file_id": "a"}], "hyperparameters": {}},
}
NUMBERS: dict[str, list[str]] = {
    CHAT: [
        *("top_k", "min_tokens", "max_tokens", "random_seed", "n", "top_logprobs"),
        *("temperature", "top_p", "presence_penalty", "frequency_penalty", "repetition_penalty"),
    ],
    OPENAI: ["seed", "max_tokens", "max_completion_tokens", "n", "top_logprobs", "top_k", "repetition_penalty"],
    NIM: ["seed", "max_tokens", "top_p", "temperature", "top_k"],
    FIM: ["max_tokens", "min_tokens", "random_seed", "temperature", "top_p"],
    TEXT: ["max_tokens", "seed", "n", "logprobs", "temperature", "presence_penalty"],
    EMBEDDINGS: ["output_dimension", "dimensions"],
}
TRAINED = ["training_steps", "seq_len", "epochs", "learning_rate", "weight_decay", "warmup_fraction", "fim_ratio"]
TOO_LARGE = ["18446744073709551617", "-18446744073709551616", "9" * 4000, "9" * 5000, "1e999", "-1e999", "1e300"]
PAGES = [
    *(f"/v1/files?{name}=" for name in ("page", "page_size")),
    *(f"{JOBS}?{name}=" for name in ("page", "page_size")),
    "/v1/files/00000000-0000-0000-0000-000000000000/url?expiry=",
]


def written(path: str, field: str, number: object) -> bytes:
    """Return a body as JSON, with a number that Python's ``json`` would not write."""
    fields = BODIES[path]
    asked = fields | {"hyperparameters": {field: "HERE"}} if field in TRAINED else fields | {field: "HERE"}
    return json.dumps(asked).replace('"HERE"', str(number)).encode()


INTEGERS = [
    *((CHAT, name) for name in ("top_k", "min_tokens", "max_tokens", "random_seed", "n")),
    *((FIM, name) for name in ("max_tokens", "random_seed")),
    *((TEXT, name) for name in ("max_tokens", "seed", "n")),
    (OPENAI, "max_completion_tokens"),
    (EMBEDDINGS, "output_dimension"),
    (JOBS, "seq_len"),
]


@pytest.mark.parametrize(("path", "field"), INTEGERS)
def test_numbers_without_a_fraction_are_integers(tiny_server: RunningServer, path: str, field: str) -> None:
    number = 200 if path == JOBS else 2
    with tiny_server.client() as client:
        whole = client.post(path, content=written(path, field, number), headers=JSON)
        same = client.post(path, content=written(path, field, f"{number}.0"), headers=JSON)
    assert same.status_code == whole.status_code != 422, same.text


@pytest.mark.parametrize("path", [*NUMBERS, JOBS])
def test_numbers_that_no_field_can_hold_are_refused(tiny_server: RunningServer, path: str) -> None:
    with tiny_server.client() as client:
        for field in NUMBERS.get(path, TRAINED):
            for number in TOO_LARGE:
                response = client.post(path, content=written(path, field, number), headers=JSON)
                assert response.status_code in (400, 422), (field, number[:20], response.text[:500])


@pytest.mark.parametrize("path", PAGES)
def test_numbers_in_addresses_are_refused_likewise(tiny_server: RunningServer, path: str) -> None:
    with tiny_server.client() as client:
        for number in ("18446744073709551616", "-1", "9" * 4000, "9" * 5000, "1e3"):
            assert client.get(path + number).status_code in (400, 422), number[:20]


def test_expiry_of_a_file_is_refused_likewise(tiny_server: RunningServer) -> None:
    with tiny_server.client() as client:
        for number in ("18446744073709551616", "-1", "9" * 5000):
            file = {"file": ("a.jsonl", b"{}")}
            assert client.post("/v1/files", data={"expiry": number}, files=file).status_code in (400, 422)


@pytest.mark.parametrize(
    "fields",
    [
        {"top_k": 2**31 - 1},
        {"random_seed": 2**64},
        {"repetition_penalty": 0.01},
        {"repetition_penalty": 10, "frequency_penalty": -2, "presence_penalty": -2},
        {"temperature": 1e-300},
        {"temperature": 1e-300, "top_p": 1e-300, "top_k": 3},
    ],
)
def test_numbers_at_their_bounds_are_served(tiny_server: RunningServer, fields: dict[str, Any]) -> None:
    response = ask(tiny_server, **fields)
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["finish_reason"] != "error"


def numbers_of(schema: Any, document: dict[str, Any], place: str, seen: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Yield the place and schema of each number in a schema."""
    if isinstance(schema, list):
        for part in schema:
            yield from numbers_of(part, document, place, seen)
    if not isinstance(schema, dict):
        return
    if name := schema.get("$ref"):
        if name not in seen:
            *_, last = name.split("/")
            yield from numbers_of(document["components"]["schemas"][last], document, place, seen | {name})
        return
    if schema.get("type") in ("integer", "number"):
        yield place, schema
    for name, part in schema.get("properties", {}).items():
        yield from numbers_of(part, document, f"{place} {name}", seen)
    for name in ("anyOf", "oneOf", "allOf", "items", "prefixItems", "schema"):
        yield from numbers_of(schema.get(name), document, place, seen)


def test_every_number_of_a_request_has_bounds_in_the_served_schema(tiny_server: RunningServer) -> None:
    with tiny_server.client() as client:
        document = client.get("/openapi.json").json()
    asked: list[tuple[str, Any]] = []
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            parts = [*operation.get("parameters", []), *operation.get("requestBody", {}).get("content", {}).values()]
            asked += numbers_of(parts, document, f"{verb} {path}", frozenset())
    assert len(asked) > 30
    unbounded = [
        place
        for place, schema in asked
        if not ({"minimum", "exclusiveMinimum"} & schema.keys() and {"maximum", "exclusiveMaximum"} & schema.keys())
    ]
    assert [place for place in unbounded if "custom_category_thresholds" not in place] == []
