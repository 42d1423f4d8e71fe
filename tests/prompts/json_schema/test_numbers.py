"""Integers and other numbers in combinations of schemas."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.prompts.json_schema.document import UnusableSchemaError
from tests.json_grammar import accepts, documents, matcher_of

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
INTEGER, NUMBER = {"type": "integer"}, {"type": "number"}
TEENS = {"type": "integer", "minimum": 0, "maximum": 9}


def items(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def pair(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "prefixItems": [schema, schema], "minItems": 2}


def holding(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}, "required": ["a"]}


@pytest.mark.parametrize(
    ("schema", "taken"),
    [
        ({"enum": [2.5], "oneOf": [INTEGER, NUMBER]}, [2.5]),
        ({"enum": [2.5, 3, "a", 5000.5], "oneOf": [INTEGER, NUMBER]}, [2.5, 5000.5]),
        ({"enum": [1, 2.5, 3.0, "a"], "type": "integer"}, [1]),
        ({"enum": [1, 2, 3, 4], "not": {"enum": [2, 3]}}, [1, 4]),
        ({"enum": ["a", "bcd", 7], "anyOf": [{"type": "string", "minLength": 2}, {"minimum": 8}]}, ["bcd"]),
        ({"enum": [[1], [1.5], {"a": 1}], "oneOf": [items(INTEGER), items(NUMBER)]}, [[1.5]]),
        ({"const": 2.0, "type": "integer"}, [2]),
        ({"const": {"a": 1.5}, "if": holding(INTEGER), "then": False}, [{"a": 1.5}]),
        ({"type": "number", "not": INTEGER}, [2.5, -0.25, 499.75]),
        ({"not": INTEGER}, [2.5, "a", None, [1]]),
        ({"not": {"type": ["integer", "string"]}}, [2.5, None, True]),
        ({"allOf": [NUMBER, {"not": INTEGER}]}, [2.5]),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1, "not": INTEGER}, [0.5, 0.001]),
        ({"type": "number", "minimum": 7000, "maximum": 7010, "not": INTEGER}, [7000.5, 7009.25]),
        ({"anyOf": [{"type": "integer", "maximum": 3}, {"type": "number", "not": INTEGER}]}, [1, 2.5]),
        ({"if": INTEGER, "then": {"minimum": 10}, "else": NUMBER}, [10, 2.5]),
        ({"oneOf": [INTEGER, NUMBER, {"type": "boolean"}, {"type": "string"}]}, [2.5, True, "a"]),
        ({"oneOf": [TEENS, {"type": "number", "minimum": 0, "maximum": 9.5}]}, [0.5, 9.5, 9.25]),
        ({"oneOf": [INTEGER, {"type": "number", "minimum": 5000, "maximum": 5010}]}, [5000.5, 3]),
        ({"oneOf": [items(INTEGER), items(NUMBER)]}, [[2.5], [1, 2.5], [0.5, 1]]),
        ({"oneOf": [pair(INTEGER), pair(NUMBER)]}, [[2.5, 1], [1, 2.5]]),
        ({"oneOf": [pair(INTEGER) | {"maxItems": 2}, pair(NUMBER) | {"items": False}]}, [[0.5, 1], [1, 2.5]]),
        ({"not": {"prefixItems": [INTEGER]}}, [[2.5], ["a", 1]]),
        (
            {"oneOf": [{"items": [INTEGER]}, {"items": [NUMBER]}], "type": "array", "$schema": DRAFT_7},
            [[2.5], [0.5, "a"]],
        ),
        ({"oneOf": [holding(INTEGER), holding(NUMBER)]}, [{"a": 2.5}]),
        ({"oneOf": [{"type": "integer", "minimum": 5}, {"type": "integer", "maximum": 10}]}, [4, 11]),
        ({"oneOf": [{"type": "integer", "maximum": 5}, {"type": "number", "exclusiveMinimum": 5}]}, [4, 5.5, 6]),
        ({"oneOf": [holding(TEENS), holding({"type": "integer", "minimum": 10})]}, [{"a": 3}, {"a": 11}]),
        ({"oneOf": [{"type": "integer", "multipleOf": 2}, {"type": "number", "maximum": 3}]}, [2.5, 4]),
        ({"type": "number", "oneOf": [{"const": 1}, INTEGER]}, [2]),
        ({"type": "integer", "not": {"type": "number", "minimum": 3}}, [2]),
        ({"type": "number", "anyOf": [{"multipleOf": 0.5}, INTEGER]}, [0.5, 3]),
    ],
)
def test_integers_are_told_apart_from_other_numbers(schema: dict[str, Any], taken: list[Any]) -> None:
    matcher, validator = matcher_of(schema), jsonschema.validators.validator_for(schema)(schema)
    assert [document for document in taken if not validator.is_valid(document)] == []
    assert [document for document in taken if not accepts(matcher, document)] == []
    others = [0, 1, 2, 3, 5, 9, 10, b"2.0", 9.5, [1], [], {"a": 1}, {"a": 10}, "x", True, None]
    for document in [*others, *documents(matcher, count=10, steps=60)]:
        if accepts(matcher, document):
            validator.validate(2.0 if document == b"2.0" else document)
    assert not accepts(matcher, b"2.00000000000000000001")


bounds = st.sampled_from([0, 1, 2, 0.5, 2.5, -1])
leaves = st.one_of(
    st.sampled_from([INTEGER, NUMBER, {"type": "string"}, {"type": ["integer", "null"]}, {"multipleOf": 2}]),
    st.builds(lambda keyword, bound: {keyword: bound}, st.sampled_from(["minimum", "exclusiveMaximum"]), bounds),
    st.builds(lambda values: {"enum": values}, st.lists(bounds, min_size=1, max_size=3)),
)
combinations = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda part: {"not": part}, inner),
        st.builds(
            lambda keyword, parts: {keyword: parts},
            st.sampled_from(["oneOf", "anyOf", "allOf"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        st.builds(lambda one, other: one | other, leaves, inner),
        st.builds(holding, inner),
        st.builds(items, inner),
        st.builds(pair, inner),
    ),
    max_leaves=5,
)


@settings(deadline=None, max_examples=60)
@given(schema=combinations)
def test_no_combination_allows_more_than_it_says(schema: dict[str, Any]) -> None:
    try:
        matcher = matcher_of(schema)
    except (UnusableSchemaError, AssertionError):
        return
    validator = jsonschema.Draft202012Validator(schema)
    scalars = [-1, 0, 0.5, 1, 2, 2.5, 3, "a", None]
    for document in [*scalars, *([one] for one in scalars), [1, 0.5], *({"a": one} for one in scalars)]:
        if accepts(matcher, document):
            validator.validate(document)
