"""Bounds of integers in the OpenAPI schema, which FastAPI writes as floats: 18446744073709551616, not 1.8e19."""

from typing import Any

_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def write_integer_bounds(schema: Any) -> None:
    """Replace the bounds of all integers in a schema by integers."""
    if isinstance(schema, dict):
        if schema.get("type") == "integer":
            schema |= {name: int(schema[name]) for name in _BOUNDS if isinstance(schema.get(name), float)}
        for part in schema.values():
            write_integer_bounds(part)
    elif isinstance(schema, list):
        for part in schema:
            write_integer_bounds(part)
