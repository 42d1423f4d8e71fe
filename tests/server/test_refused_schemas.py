"""Schemas that are refused, and hostile ones."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.chatting import CHAT, answer, ask, assert_error, body, data_of
from tests.gathering import gathered
from tests.server.schemas import PERSON, assert_satisfies, json_schema
from tests.serving import RunningServer


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


def doubled(times: int) -> dict[str, Any]:
    """Return a schema of pairs nested ``times`` levels deep, whose documents are exponentially large."""
    pairs = {
        f"p{level}": {
            "type": "array",
            "prefixItems": [{"$ref": f"#/$defs/p{level - 1}"}] * 2,
            "items": False,
            "minItems": 2,
        }
        for level in range(1, times + 1)
    }
    return {"$ref": f"#/$defs/p{times}", "$defs": {"p0": {"type": "null"}} | pairs}


ENDLESS_LIST = {
    "$ref": "#/$defs/node",
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}},
}
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "unique items": ({"properties": {"a": {"uniqueItems": True}}}, ".properties.a", '"uniqueItems" is not supported'),
    "a reference to elsewhere": (
        {"properties": {"a": {"$ref": "https://example.org/a.json"}}},
        ".properties.a",
        '"$ref" refers to "https://example.org/a.json", which is outside of the schema',
    ),
    "a reference to a file": (
        {"$ref": "file:///etc/passwd"},
        "",
        '"$ref" refers to "file:///etc/passwd", which is outside of the schema',
    ),
    "a reference to nothing": (
        {"properties": {"a": {"$ref": "#/$defs/b"}}},
        ".properties.a",
        '"$ref" refers to "#/$defs/b", which does not exist',
    ),
    "a reference to itself": ({"$ref": "#"}, "", '"$ref" leads back to itself'),
    "an unknown type": ({"items": {"type": "circle"}}, ".items", '"type" must name JSON types'),
    "a bound that is no number": ({"properties": {"a": {"minimum": "1"}}}, ".properties.a", '"minimum" must be'),
    "properties that are no object": ({"properties": []}, "", '"properties" must be an object'),
    "an expression that is none": ({"properties": {"a": {"pattern": "["}}}, ".properties.a", "the regular expression"),
    "an expression that looks ahead": ({"pattern": r"(?=(a)\1)b"}, "", "the regular expression"),
    "an expression that looks back": ({"pattern": r"(a)\1"}, "", "the regular expression"),
    "what nothing can satisfy": ({"type": "integer", "minimum": 3, "maximum": 2}, "", "no document can satisfy it"),
    "documents without an end": (ENDLESS_LIST, ".$defs.node.properties.next", "it is too complex to follow"),
    "too deep": (nested(70), "", "it is nested more than 64 levels deep"),
    "too large": ({"enum": [f"{number:01000}" for number in range(1000)]}, "", "it is too large"),
}


@pytest.mark.parametrize(("schema", "part", "said"), REFUSED.values(), ids=REFUSED)
def test_schemas_that_cannot_be_followed_are_refused(
    tiny_server: RunningServer, schema: dict[str, Any], part: str, said: str
) -> None:
    where = "response_format.json_schema.schema"
    for fields in ({}, {"stream": True}):
        response = ask(tiny_server, response_format=json_schema(schema), **fields)
        assert assert_error(response, 400, "invalid_request_error").startswith(f"{where}{part}: {said}")
        assert response.json()["param"] == where


@pytest.mark.parametrize("name", ["unique items", "a reference to elsewhere", "an expression that is none", "too deep"])
def test_so_are_those_of_functions(tiny_server: RunningServer, name: str) -> None:
    schema, part, said = REFUSED[name]
    tools = [
        {"type": "function", "function": {"name": "first", "parameters": {}}},
        {"type": "function", "function": {"name": "second", "strict": True, "parameters": {"type": "object"} | schema}},
    ]
    response = ask(tiny_server, tools=tools)
    where = "tools[1].function.parameters"
    assert assert_error(response, 400, "invalid_request_error").startswith(f"{where}{part}: {said}")
    assert response.json()["param"] == where


def test_schemas_of_functions_that_are_not_called_do_not_count(roomy_server: RunningServer) -> None:
    parameters = {"type": "object", "properties": {"a": {"uniqueItems": True}}}
    function = {"name": "first", "strict": True, "parameters": parameters}
    tools = [
        {"type": "function", "function": function},
        {"type": "function", "function": {"name": "second", "parameters": {}}},
    ]
    second = {"type": "function", "function": {"name": "second"}}
    for choice in ("none", second):
        assert answer(roomy_server, tools=tools, tool_choice=choice)["choices"]


MISMATCHED: dict[str, tuple[dict[str, Any], str]] = {
    "no schema": ({"type": "json_schema"}, "A response_format of type json_schema needs json_schema"),
    "a schema of an object": (
        {"type": "json_object", "json_schema": {"name": "answer", "schema": {}}},
        "A response_format of type json_object cannot have json_schema",
    ),
    "a schema of text": (
        {"type": "text", "json_schema": {"name": "answer", "schema": {}}},
        "A response_format of type text cannot have json_schema",
    ),
}


@pytest.mark.parametrize(("form", "said"), MISMATCHED.values(), ids=MISMATCHED)
def test_forms_that_contradict_themselves_are_refused(
    tiny_server: RunningServer, form: dict[str, Any], said: str
) -> None:
    response = ask(tiny_server, response_format=form)
    assert assert_error(response, 400, "invalid_request_error") == said
    assert response.json()["param"] == "response_format"


@pytest.mark.parametrize(
    ("form", "place"),
    [
        ("json", []),
        ({"type": "xml"}, ["type"]),
        ({"type": "json_schema", "json_schema": {"schema": {}}}, ["json_schema", "name"]),
        ({"type": "json_schema", "json_schema": {"name": "answer"}}, ["json_schema", "schema"]),
        ({"type": "json_schema", "json_schema": {"name": "answer", "schema": []}}, ["json_schema", "schema"]),
        (json_schema({}, strict="yes"), ["json_schema", "strict"]),
        (json_schema({}, colour="blue"), ["json_schema", "colour"]),
    ],
)
def test_malformed_forms_get_422_that_names_the_place(tiny_server: RunningServer, form: Any, place: list[str]) -> None:
    response = ask(tiny_server, response_format=form)
    assert response.status_code == 422
    assert [reason["loc"] for reason in response.json()["detail"]] == [["body", "response_format", *place]]


# Hostile schemas


HOSTILE: dict[str, dict[str, Any]] = {
    "many items": {"type": "array", "items": {"type": "integer"}, "minItems": 10_000},
    "many items of many items": {
        "type": "array",
        "items": {"type": "array", "items": {"type": "null"}, "minItems": 10_000},
        "minItems": 10_000,
    },
    "a long string": {"type": "string", "minLength": 1_000_000},
    "an expression of many ways": {"type": "string", "pattern": "^(a|aa|b)*(c|cc){0,1000}((x+x+)+y){0,500}$"},
    "an expression of many steps": {"type": "string", "pattern": "^(a?){3000}a{3000}$"},
    "repetitions of repetitions": {"type": "string", "pattern": "^(([a-z]{1,50}){1,50}){1,50}$"},
    "exponentially many values": doubled(12),
    "no end": ENDLESS_LIST,
    "itself": {"anyOf": [{"$ref": "#"}, {"type": "array", "items": {"$ref": "#"}}]},
    "many properties": {"properties": {f"p{number}": {"type": "string"} for number in range(5000)}},
    "a megabyte": {"enum": [f"{number:0100}" for number in range(10_000)]},
    "a megabyte of keys": {"properties": {f"{number:0100}": {} for number in range(10_000)}},
    "great depth": nested(150),
}


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE)
def test_hostile_schemas_are_followed_or_refused(roomy_server: RunningServer, schema: dict[str, Any]) -> None:
    response = ask(roomy_server, response_format=json_schema(schema))
    if response.status_code == 200:
        assert response.json()["choices"][0]["finish_reason"] in {"stop", "length"}
    else:
        assert_error(response, 400, response.json()["type"])


def test_hostile_schemas_do_no_harm_to_others(roomy_server: RunningServer) -> None:
    length = 300
    begun = Barrier(11, timeout=60)

    def stream() -> list[dict[str, Any]]:
        fields: dict[str, Any] = {"stream": True, "max_tokens": length, "min_tokens": length}
        with roomy_server.client() as client, client.stream("POST", CHAT, json=body(**fields)) as response:
            data = data_of(response)
            first = next(data)
            begun.wait()
            *chunks, done = data
        assert done == "[DONE]"
        return [json.loads(chunk) for chunk in (first, *chunks)]

    def harm(schema: dict[str, Any]) -> None:
        ask(roomy_server, response_format=json_schema(schema | {"title": "harm"}))

    with ThreadPoolExecutor(16) as threads:
        streams = [threads.submit(stream) for _ in range(10)]
        begun.wait()
        list(threads.map(harm, HOSTILE.values()))
        (good,) = answer(roomy_server, response_format=json_schema(PERSON), max_tokens=300)["choices"]
        chunks = [running.result() for running in streams]
    assert_satisfies(good, PERSON)
    for made in chunks:
        assert [choice["finish_reason"] for choice in gathered(made)] == ["length"]
        assert made[-1]["usage"]["completion_tokens"] == length
