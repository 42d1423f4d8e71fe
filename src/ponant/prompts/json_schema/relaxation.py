"""Schemas without some of their keywords, for tools that are not strict."""

from collections.abc import Iterable, Iterator
from typing import Any

from ponant.prompts.json_schema.document import Document, Path

EXPRESSIONS = ("pattern", "patternProperties", "propertyNames")
"""Keywords with regular expressions."""
KEYWORDS = (
    *EXPRESSIONS,
    "not",
    "if",
    "then",
    "else",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "multipleOf",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "dependentSchemas",
    "dependentRequired",
    "dependencies",
    "oneOf",
    "anyOf",
    "allOf",
    "minProperties",
    "maxProperties",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "enum",
)
"""Keywords without which a schema has the same properties, the likely causes of complexity first."""


def without(schema: dict[str, Any], paths: Iterable[Path]) -> dict[str, Any]:
    """Return a copy of a schema without the keywords at some paths. Parts that do not change are shared."""
    for path in paths:
        schema = _without(schema, path)
    return schema


def places_of(schema: dict[str, Any], keywords: Iterable[str]) -> list[Path]:
    """Return the paths of keywords in a schema, the outermost first. Raises UnusableSchemaError."""
    document = Document(schema)
    places = {
        (*path, keyword): None
        for path in _parts(document)
        for keyword in keywords
        if isinstance(part := document.part(path), dict) and keyword in part
    }
    outer: set[Path] = set()
    for place in sorted(places, key=len):
        if not any(place[:end] in outer for end in range(1, len(place))):
            outer.add(place)
    return [place for place in places if place in outer]


def _parts(document: Document) -> Iterator[Path]:
    """Yield the paths of all schemas in a schema, definitions among them if they are referred to."""
    todo: list[Path] = [()]
    seen: set[Path] = set(todo)
    while todo:
        path = todo.pop()
        yield path
        for part in document.parts(path):
            if part not in seen:
                seen.add(part)
                todo.append(part)


def _without(value: Any, path: Path) -> Any:
    step, *rest = path
    copy = value.copy()
    if rest:
        copy[step] = _without(value[step], tuple(rest))
    elif step in copy:
        del copy[step]
    return copy
