"""Schemas of answers."""

import json
from typing import Any

from jsonschema import Draft202012Validator

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "nickname": {"type": ["string", "null"], "maxLength": 10},
    },
    "required": ["name", "age", "nickname"],
    "additionalProperties": False,
}


def json_schema(schema: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema} | fields}


def assert_satisfies(choice: dict[str, Any], schema: dict[str, Any]) -> None:
    document = json.loads(choice["message"]["content"])
    Draft202012Validator(schema).validate(document)
