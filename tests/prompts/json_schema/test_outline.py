"""Short descriptions of schemas."""

from typing import Any

import pytest

from ponant.prompts.json_schema.outline import outline

NODE: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
NESTED: dict[str, Any] = {"items": {}}
for _ in range(60):
    NESTED = {"type": "array", "items": NESTED}

WIDE: dict[str, Any] = {"properties": {str(name): {"$ref": "#"} for name in range(100)}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "minimum": 3}, "integer"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"enum": ["a", 1, None]}, '"a" | 1 | null'),
        ({"const": "é"}, '"é"'),
        ({"type": "array", "items": {"type": "string"}}, "string[]"),
        ({"type": "array", "items": {"enum": [1, 2]}}, "(1 | 2)[]"),
        ({"type": "array"}, "any[]"),
        ({"anyOf": [{"type": "string"}, {"type": "object", "properties": {}}]}, "string | {}"),
        (
            {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 3}, "age": {"type": "integer"}},
                "required": ["name"],
            },
            '{"name": string, "age"?: integer}',
        ),
        (
            {"properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            '{"a"?: string}',
        ),
        ({"type": ["object", "null"], "properties": {"a": {}}}, '{"a"?: any} | null'),
        ({"allOf": [{"$ref": "#/$defs/city"}], "$defs": {"city": {"enum": ["P"]}}}, '"P"'),
        ({"allOf": [{"properties": {"a": {}}}, {"type": "object"}]}, '{"a"?: any} & object'),
        ({"properties": {"a": {"type": "string", "description": "why"}}}, '{"a"?: string /* why */}'),
        (
            {"$defs": {"city": {"enum": ["P"]}}, "properties": {"in": {"$ref": "#/$defs/city"}}, "required": ["in"]},
            '{"in": "P"}',
        ),
        ({"$ref": "#/$defs/nothing"}, "any"),
        ({"$ref": "https://example.org/schema"}, "any"),
        ({}, "any"),
        ({"type": 3, "properties": [], "required": 7, "enum": "x", "anyOf": None}, "any"),
        ({"type": "object", "required": None, "properties": {"a": True}}, '{"a"?: any}'),
    ],
)
def test_schema_in_few_words(schema: dict[str, Any], expected: str) -> None:
    assert outline(schema) == expected


@pytest.mark.parametrize("schema", [NODE, NESTED, WIDE])
def test_what_has_no_end_is_cut(schema: dict[str, Any]) -> None:
    assert len(outline(schema)) < 20_000
