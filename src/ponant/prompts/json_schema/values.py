"""JSON values and their types."""

import json
from typing import Any

TYPES = ("null", "boolean", "number", "string", "array", "object")
"""All types except ``integer``, which is part of ``number``."""


def canonical(value: Any) -> str:
    """Return a text that is the same for values that are equal in JSON Schema."""
    if isinstance(value, str):
        return f'"{value}'
    return json.dumps(_canonical(value), sort_keys=True)


def kind(value: Any) -> str:
    """Return the type of a JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in value.items()}
    return value
