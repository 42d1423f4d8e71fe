"""JSON answers. The model is tiny and random, so only the grammar makes them valid."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.chatting import answer, events, texts
from tests.gathering import gathered
from tests.server.schemas import PERSON, assert_satisfies, json_schema
from tests.serving import RunningServer
from tests.soak import ANSWERS

JSON_OBJECT: dict[str, Any] = {"type": "json_object"}
OBJECT: dict[str, Any] = {"type": "object"}
WILD: dict[str, Any] = {"temperature": 1.5, "max_tokens": 1000, "n": ANSWERS, "random_seed": 1}
FIXED: dict[str, Any] = {"const": {"fixed": ["alpha beta", 1.5, None, True]}}
LONG: dict[str, Any] = {
    "type": "array",
    "items": {"type": "string", "minLength": 60, "maxLength": 60},
    "minItems": 12,
    "maxItems": 12,
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "an object of scalars": PERSON,
    "a constant": FIXED,
    "an enumeration": {"enum": ["red", "grün", '漢字 "quoted"', 7, None, {"a": [1]}]},
    "one of two kinds": {
        "anyOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": "number"}, "value": {"type": "integer", "minimum": 10, "maximum": 99}},
                "required": ["kind", "value"],
                "additionalProperties": False,
            },
            {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
        ]
    },
    "a list that refers to itself": {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer", "minimum": -5, "maximum": 5},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["value", "next"],
                "additionalProperties": False,
            }
        },
    },
    "strings of certain forms": {
        "type": "object",
        "properties": {
            "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{2,4}$"},
            "day": {"type": "string", "format": "date"},
            "id": {"type": "string", "format": "uuid"},
        },
        "required": ["code", "day", "id"],
        "additionalProperties": False,
    },
    "numbers in a range": {
        "type": "array",
        "items": {"type": "number", "exclusiveMinimum": -1, "maximum": 2.5},
        "minItems": 3,
        "maxItems": 3,
    },
    "multiples": {"type": "integer", "multipleOf": 7, "minimum": 0, "maximum": 1000},
    "a pair": {
        "type": "array",
        "prefixItems": [{"type": "string", "maxLength": 4}, {"type": "boolean"}],
        "items": False,
        "minItems": 2,
    },
    "any keys": {"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 1, "maxProperties": 2},
    "keys that mean something to grammars and templates": {
        "type": "object",
        "properties": {key: {"type": "boolean"} for key in ('a "b" \\ c\n# //', "%json {}", "<|im_end|>", "{{ x }}")},
        "required": ['a "b" \\ c\n# //', "%json {}", "<|im_end|>", "{{ x }}"],
        "additionalProperties": False,
    },
    "a layout of its own, which does not count": {
        "type": "object",
        "properties": {"a": {"type": "null"}, "b": {"type": "null"}},
        "required": ["a", "b"],
        "additionalProperties": False,
        "x-guidance": {"item_separator": ";", "key_separator": "=", "lenient": True},
    },
    "words about itself": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.org/answer",
        "$comment": "no comment",
        "title": "Answer",
        "description": "An answer",
        "examples": [1],
        "default": True,
        "type": "boolean",
    },
    "anything": {},
}

# JSON without a schema


def test_json_object_is_an_object_whenever_it_is_complete(roomy_server: RunningServer) -> None:
    choices = [
        choice
        for seed in range(2)
        for choice in answer(roomy_server, response_format=JSON_OBJECT, **WILD | {"random_seed": seed})["choices"]
    ]
    complete = [choice for choice in choices if choice["finish_reason"] == "stop"]
    assert len(complete) > len(choices) / 2
    for choice in complete:
        assert_satisfies(choice, OBJECT)
    assert {choice["finish_reason"] for choice in choices} <= {"stop", "length"}


# Schemas


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_documents_satisfy_their_schema(roomy_server: RunningServer, schema: dict[str, Any]) -> None:
    response = answer(roomy_server, response_format=json_schema(schema), **WILD)
    complete = [choice for choice in response["choices"] if choice["finish_reason"] == "stop"]
    assert complete
    for choice in complete:
        assert_satisfies(choice, schema)
        assert choice["message"]["tool_calls"] is None
    assert {choice["finish_reason"] for choice in response["choices"]} <= {"stop", "length"}


@pytest.mark.parametrize("fields", [{"strict": True}, {"strict": False, "description": "A person"}])
def test_every_schema_is_strict_and_its_description_is_no_part_of_it(
    roomy_server: RunningServer, fields: dict[str, Any]
) -> None:
    expected = answer(roomy_server, response_format=json_schema(PERSON), **WILD)["choices"]
    assert answer(roomy_server, response_format=json_schema(PERSON, **fields), **WILD)["choices"] == expected
    assert len(set(texts({"choices": expected}))) == ANSWERS


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 0},
        {"top_k": 1},
        {"top_p": 0},
        {"top_p": 0.01, "temperature": 1.5},
        {"presence_penalty": 2, "frequency_penalty": 2, "repetition_penalty": 10},
        {"frequency_penalty": -2, "repetition_penalty": 0.1},
    ],
)
def test_no_way_of_sampling_breaks_the_form(roomy_server: RunningServer, sampling: dict[str, Any]) -> None:
    for schema in (PERSON, SCHEMAS["strings of certain forms"]):
        response = answer(roomy_server, response_format=json_schema(schema), max_tokens=400, random_seed=2, **sampling)
        assert response["choices"][0]["finish_reason"] == "stop"
        assert_satisfies(response["choices"][0], schema)


def test_model_is_told_of_the_form(tiny_server: RunningServer) -> None:
    plain, told = (
        answer(tiny_server, max_tokens=1, response_format=form)["usage"]["prompt_tokens"]
        for form in (None, JSON_OBJECT)
    )
    assert told > plain + 10


# Documents that are cut


@pytest.mark.parametrize("form", [JSON_OBJECT, json_schema(PERSON), json_schema(FIXED)])
def test_document_cut_by_max_tokens_is_the_beginning_of_one(roomy_server: RunningServer, form: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"response_format": form, "random_seed": 3, "temperature": 1.0}
    whole = answer(roomy_server, max_tokens=1000, **fields)
    assert whole["choices"][0]["finish_reason"] == "stop"
    length = whole["usage"]["completion_tokens"]
    for most in (0, 1, 5, length // 2, length - 1):
        cut = answer(roomy_server, max_tokens=most, **fields)
        assert cut["choices"][0]["finish_reason"] == "length"
        assert cut["usage"]["completion_tokens"] == most
        assert texts(whole)[0].startswith(texts(cut)[0])
        assert gathered(events(roomy_server, max_tokens=most, **fields)) == cut["choices"]


def test_document_cut_within_a_character_is_the_beginning_of_one(roomy_server: RunningServer) -> None:
    """The tiny model has tokens for halves of characters."""
    fields: dict[str, Any] = {"response_format": json_schema({"type": "string", "pattern": "^[漢😀]{3}$"})}
    (whole,) = texts(answer(roomy_server, random_seed=1, **fields))
    cuts = [texts(answer(roomy_server, random_seed=1, **fields | {"max_tokens": most}))[0] for most in range(8)]
    assert json.loads(whole)
    assert all(whole.startswith(cut) for cut in cuts)
    assert cuts[1:4] == ['"', '"', whole[:2]]


def test_document_cut_by_the_context_is_the_beginning_of_one(
    roomy_server: RunningServer, tiny_server: RunningServer
) -> None:
    fields: dict[str, Any] = {"response_format": json_schema(LONG), "random_seed": 3, "max_tokens": None}
    (cut,) = answer(tiny_server, **fields)["choices"]
    (whole,) = answer(roomy_server, **fields)["choices"]
    assert (cut["finish_reason"], whole["finish_reason"]) == ("model_length", "stop")
    assert_satisfies(whole, LONG)
    assert len(cut["message"]["content"]) > 100
    assert whole["message"]["content"].startswith(cut["message"]["content"])


def test_stop_string_ends_a_document_too(roomy_server: RunningServer) -> None:
    fields: dict[str, Any] = {"response_format": json_schema(FIXED), "max_tokens": 100}
    whole = answer(roomy_server, **fields)
    response = answer(roomy_server, stop=["beta", "never in it"], **fields)
    assert texts(response) == ['{"fixed": ["alpha ']
    assert response["choices"][0]["finish_reason"] == "stop"
    assert response["usage"]["completion_tokens"] < whole["usage"]["completion_tokens"]
    assert gathered(events(roomy_server, stop="beta", **fields)) == response["choices"]


@pytest.mark.parametrize("schema", [FIXED, {"type": "integer"}, PERSON, {"type": "array", "items": {"type": "null"}}])
def test_min_tokens_makes_no_document_invalid(roomy_server: RunningServer, schema: dict[str, Any]) -> None:
    response = answer(roomy_server, response_format=json_schema(schema), min_tokens=60, **WILD | {"max_tokens": 200})
    complete = [choice for choice in response["choices"] if choice["finish_reason"] == "stop"]
    for choice in complete:
        assert_satisfies(choice, schema)
    assert {choice["finish_reason"] for choice in response["choices"]} <= {"stop", "length"}


# Combined with other fields


@pytest.mark.parametrize("form", [JSON_OBJECT, json_schema(PERSON)])
def test_streamed_documents_are_those_of_the_whole_answer(roomy_server: RunningServer, form: dict[str, Any]) -> None:
    fields = {"response_format": form, "logprobs": True} | WILD
    streamed, whole = gathered(events(roomy_server, **fields)), answer(roomy_server, **fields)["choices"]
    tokens = [
        [[entry["token"] for entry in choice.pop("logprobs")["content"]] for choice in choices]
        for choices in (streamed, whole)
    ]
    assert streamed == whole
    assert tokens[0] == tokens[1]


def test_every_token_has_its_logprob_whether_drawn_or_not(roomy_server: RunningServer) -> None:
    response = answer(
        roomy_server, response_format=json_schema(PERSON), logprobs=True, top_logprobs=20, **WILD | {"n": 1}
    )
    (choice,) = response["choices"]
    entries = choice["logprobs"]["content"]
    assert len(entries) == response["usage"]["completion_tokens"]
    assert b"".join(bytes(entry["bytes"]) for entry in entries).decode() == choice["message"]["content"]
    assert all(entry["logprob"] <= 0 and len(entry["top_logprobs"]) == 20 for entry in entries)


def test_usage_counts_what_was_written(roomy_server: RunningServer) -> None:
    usage = answer(roomy_server, response_format=json_schema(FIXED), max_tokens=200)["usage"]
    assert 10 < usage["completion_tokens"] <= len(json.dumps(FIXED["const"]))
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    four = answer(roomy_server, response_format=json_schema(FIXED), max_tokens=200, n=4)["usage"]
    assert four["prompt_tokens"] == usage["prompt_tokens"]
    assert four["completion_tokens"] == 4 * usage["completion_tokens"]


def test_prediction_changes_no_document(roomy_server: RunningServer) -> None:
    fields: dict[str, Any] = {"response_format": json_schema(PERSON), "random_seed": 4, "max_tokens": 200}
    expected = texts(answer(roomy_server, **fields))
    for text in (expected[0], "no JSON at all", '{"name": "'):
        prediction = {"type": "content", "content": text}
        assert texts(answer(roomy_server, prediction=prediction, **fields)) == expected


def test_text_as_the_form_is_no_form(roomy_server: RunningServer) -> None:
    plain = answer(roomy_server, random_seed=5)
    assert texts(answer(roomy_server, random_seed=5, response_format={"type": "text"})) == texts(plain)


def test_free_answers_do_not_change_beside_documents(roomy_server: RunningServer) -> None:
    free: dict[str, Any] = {"random_seed": 5, "max_tokens": 300, "min_tokens": 300}
    form: dict[str, Any] = {"response_format": json_schema(PERSON)} | WILD
    expected = texts(answer(roomy_server, **free)), texts(answer(roomy_server, **form))
    with ThreadPoolExecutor(8) as threads:
        beside = [
            (threads.submit(answer, roomy_server, **free), threads.submit(answer, roomy_server, **form))
            for _ in range(4)
        ]
    for without, with_form in beside:
        assert (texts(without.result()), texts(with_form.result())) == expected
