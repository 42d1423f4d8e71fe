"""The comparison of OpenAPI documents reports every difference that affects clients, and no other."""

from typing import Any

import pytest

from tests.server.openapi_compare import differences

ASK = ("post", "/ask")
Schema = dict[str, Any]


def document(request: Schema | None = None, response: Schema | None = None, **schemas: Schema) -> Schema:
    operation = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": request or {}}}},
        "responses": {"200": {"content": {"application/json": {"schema": response or {}}}}},
    }
    return {"paths": {"/ask": {"post": operation}}, "components": {"schemas": schemas}}


def record(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def either(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
NULL: Schema = {"type": "null"}

SAME_IN_OTHER_WORDS = {
    "annotations": (TEXT | {"title": "Name", "description": "Whose", "examples": ["Ada"]}, TEXT),
    "a constant": ({"const": "user", "type": "string"}, {"enum": ["user"]}),
    "an enum in parts": (either({"const": "a"}, {"enum": ["c", "b"]}), TEXT | {"enum": ["a", "b", "c"]}),
    "order": (either(NULL, TEXT), either(TEXT, NULL)),
    "one alternative": (either(TEXT), TEXT),
    "oneOf": ({"oneOf": [TEXT, NULL]}, either(TEXT, NULL)),
    "a list of types": ({"type": ["string", "null"]}, either(TEXT, NULL)),
    "null in an enum": ({"type": ["string", "null"], "enum": ["a", None]}, either({"const": "a"}, NULL)),
    "a default of null": (either(TEXT, NULL) | {"default": None}, either(TEXT, NULL)),
    "an inherited property": (
        {"allOf": [record("a", a=TEXT), record("b", b=COUNT)]},
        record("a", "b", a=TEXT, b=COUNT),
    ),
    "a wrapped reference": ({"allOf": [reference("Name")], "default": "Ada"}, TEXT | {"default": "Ada"}),
    "a required name that is no property": (record("a", a=TEXT), record("a", "data", a=TEXT)),
    "a file": ({"type": "string", "contentMediaType": "application/octet-stream"}, TEXT | {"format": "binary"}),
}


@pytest.mark.parametrize(("ours", "theirs"), SAME_IN_OTHER_WORDS.values(), ids=SAME_IN_OTHER_WORDS)
def test_the_same_schema_in_other_words_is_no_difference(ours: Schema, theirs: Schema) -> None:
    served = document(record(x=ours), record(x=ours), Name=TEXT)
    spec = document(record(x=theirs), record(x=theirs), Name=TEXT)
    assert differences(served, spec, [ASK]) == []
    assert differences(spec, served, [ASK]) == []


WIDER = {
    "another property": (record(a=TEXT, b=TEXT), record(a=TEXT)),
    "null": (record(a=either(TEXT, NULL)), record(a=TEXT)),
    "fewer required": (record(a=TEXT), record("a", a=TEXT)),
    "a wider range": (record(a=NUMBER | {"minimum": 0}), record(a=NUMBER | {"exclusiveMinimum": 0, "maximum": 1})),
    "any number": (record(a=NUMBER), record(a=COUNT)),
    "any string": (record(a=TEXT), record(a=TEXT | {"enum": ["x", "y"]})),
    "another value": (record(a={"enum": ["x", "y"]}), record(a={"enum": ["x"]})),
    "anything": (record(a={}), record(a=record(b=TEXT))),
    "further properties": (
        {**record(a=TEXT), "additionalProperties": True},
        {**record(), "additionalProperties": False},
    ),
}


@pytest.mark.parametrize(("wider", "narrower"), WIDER.values(), ids=WIDER)
def test_a_request_may_be_wider_and_never_narrower(wider: Schema, narrower: Schema) -> None:
    assert differences(document(wider), document(narrower), [ASK]) == []
    assert differences(document(narrower), document(wider), [ASK]) != []


@pytest.mark.parametrize(("wider", "narrower"), [WIDER[name] for name in WIDER if name != "a wider range"])
def test_a_response_is_neither_wider_nor_narrower(wider: Schema, narrower: Schema) -> None:
    assert differences(document(response=wider), document(response=narrower), [ASK]) != []
    assert differences(document(response=narrower), document(response=wider), [ASK]) != []


def test_a_difference_is_named_by_its_path() -> None:
    user = record("content", role={"const": "user"}, content=either(TEXT, NULL))
    system = record("content", role={"const": "system"}, content=TEXT)
    no_null = record("content", role={"const": "user"}, content=TEXT)
    spec = document(record(messages={"type": "array", "items": either(system, user)}))
    served = document(record(messages={"type": "array", "items": {"oneOf": [no_null, system]}}))
    assert differences(served, spec, [ASK]) == ["POST /ask request application/json messages[].content=null: missing"]


def test_the_bound_that_is_too_narrow_is_named() -> None:
    spec = document(record(t=NUMBER | {"minimum": 0, "maximum": 1.5}))
    served = document(record(t=NUMBER | {"exclusiveMinimum": 0, "maximum": 1}))
    assert differences(served, spec, [ASK]) == [
        "POST /ask request application/json t: exclusiveMinimum 0 is too narrow",
        "POST /ask request application/json t: maximum 1 is too narrow",
    ]


def test_another_default_is_a_difference() -> None:
    spec, served = document(record(n=COUNT | {"default": 1})), document(record(n=COUNT | {"default": 2}))
    assert differences(served, spec, [ASK]) == ["POST /ask request application/json n: the default is 2 and not 1"]


def test_places_that_are_allowed_may_differ_with_all_below_them() -> None:
    spec = document(response=record(usage=record(total=COUNT), end={"enum": ["stop"]}))
    usage = record(total=COUNT, details=record(cost=COUNT))
    served = document(response=record(usage=usage, end={"enum": ["stop", "late", "never"]}))
    found = differences(served, spec, [ASK], allowed=["usage.details", 'end="late"'])
    assert found == ['POST /ask response 200 application/json end="never": not in the specification']


def test_a_narrower_request_may_be_allowed() -> None:
    spec, served = document(record(n=COUNT)), document(record(n=COUNT | {"maximum": 16}))
    assert differences(served, spec, [ASK], allowed=["n"]) != []
    assert differences(served, spec, [ASK], narrower=["n"]) == []


def test_schemas_that_contain_themselves_are_compared() -> None:
    spec = document(reference("Tree"), Tree=record(leaf=TEXT, branches={"type": "array", "items": reference("Tree")}))
    served = document(
        reference("Node"), Node=record(leaf=COUNT, branches={"type": "array", "items": reference("Node")})
    )
    assert differences(spec, spec, [ASK]) == []
    assert differences(served, spec, [ASK]) == ["POST /ask request application/json leaf=string: missing"]


def test_events_are_compared_by_their_data() -> None:
    spec, served = document(), document()
    event = record("data", data=record(id=TEXT))
    wrapped = record("data", event=TEXT, data=TEXT | {"contentSchema": record(id=COUNT)})
    spec["paths"]["/ask"]["post"]["responses"]["200"]["content"] = {"text/event-stream": {"schema": event}}
    served["paths"]["/ask"]["post"]["responses"]["200"]["content"] = {"text/event-stream": {"itemSchema": wrapped}}
    assert differences(served, spec, [ASK]) == [
        "POST /ask response 200 text/event-stream id=string: missing",
        "POST /ask response 200 text/event-stream id=integer: not in the specification",
    ]


def test_missing_operations_bodies_and_parameters_are_named() -> None:
    spec, served = document(), document()
    spec["paths"]["/other"] = {"get": {}}
    spec["paths"]["/ask"]["post"]["parameters"] = [{"in": "query", "name": "page", "schema": COUNT}]
    served["paths"]["/ask"]["post"]["parameters"] = [{"in": "query", "name": "key", "schema": TEXT, "required": True}]
    spec["paths"]["/ask"]["post"]["responses"]["422"] = {"content": {"application/json": {"schema": TEXT}}}
    served["paths"]["/ask"]["post"]["requestBody"]["content"] = {}
    assert differences(served, spec, [ASK, ("get", "/other")]) == [
        "POST /ask query parameter page: missing",
        "POST /ask query parameter key: is required and not in the specification",
        "POST /ask request application/json: missing",
        "POST /ask response 422: missing",
        "GET /other: not in the served document",
    ]
