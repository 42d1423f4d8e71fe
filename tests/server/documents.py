"""Walks through OpenAPI documents."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Described:
    """A part of a document that needs a description and an example.

    Attributes:
        place: its place, such as ``POST /v1/files request purpose``.
        part: the parameter, the header, or the schema of the field.
        schema: the schema of its values.
    """

    place: str
    part: Json
    schema: Json

    @property
    def examples(self) -> list[Any]:
        """Its examples."""
        return [*self.part.get("examples", []), *([self.part["example"]] if "example" in self.part else [])]


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    """Yield the operations in order, each with its method and path."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def bodies(operation: Json) -> Iterator[tuple[str, Json]]:
    """Yield the contents of an operation's request and responses, each with its place."""
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"request {media}", content
    for status, response in operation["responses"].items():
        for media, content in response.get("content", {}).items():
            yield f"{status} {media}", content


def parts(document: Json) -> Iterator[Described]:
    """Yield all parameters, headers and fields of a document."""
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            yield Described(f"{name} {parameter['in']} {parameter['name']}", parameter, parameter["schema"])
        for status, response in operation["responses"].items():
            for header, described in response.get("headers", {}).items():
                yield Described(f"{name} {status} {header}", described, described["schema"])
        for place, content in bodies(operation):
            yield from fields(content["schema"], document, f"{name} {place}", frozenset())


def fields(schema: Any, document: Json, place: str, above: frozenset[str]) -> Iterator[Described]:
    """Yield the fields of a schema and of all schemas below it."""
    if reference := schema.get("$ref"):
        if reference in above:
            return
        schema, above = resolved(document, reference), above | {reference}
    for name, field in schema.get("properties", {}).items():
        yield Described(f"{place} {name}", field, field)
        yield from fields(field, document, f"{place} {name}", above)
    for key in ("anyOf", "oneOf", "allOf"):
        for choice in schema.get(key, []):
            yield from fields(choice, document, place, above)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from fields(schema[key], document, f"{place}[]", above)


def resolved(document: Json, reference: str) -> Json:
    """Return the schema of a reference."""
    part: Any = document
    for step in reference.removeprefix("#/").split("/"):
        part = part[step]
    found: Json = part
    return found
