"""Operations and fields of the served API, read from its OpenAPI schema."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Schema = Mapping[str, Any]
Fill = Callable[[Any], Any]
"""Return a whole body that has a value at one place and valid values elsewhere."""

_DEEPEST = 14
"""Most containers around a place."""
_UNKNOWN = "unknown_field"
_ENOUGH = {"messages": [{"role": "user", "content": "Hello"}]}
"""Valid lists by name. They also follow a generated item; without them a conversation would be refused as a whole."""


@dataclass(frozen=True)
class Parameter:
    """A parameter in the path or in the query of an operation."""

    name: str
    where: Literal["path", "query"]


@dataclass(frozen=True)
class Place:
    """A place of a body: ``name`` like ``messages[]<UserMessage>.content``, and a function that puts a value there."""

    name: str
    schema: Schema
    fill: Fill

    @property
    def is_inner(self) -> bool:
        """True for places in a list or an object of the body."""
        return any(mark in self.name for mark in ".[")


@dataclass(frozen=True)
class Operation:
    """An operation of the API.

    Attributes:
        method: HTTP method.
        path: path with names of parameters in braces.
        parameters: parameters of the path and the query.
        body: schema of its body, with references; None if it has none.
        form: True if the body is a form.
        statuses: documented statuses.
    """

    method: str
    path: str
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    form: bool = False
    statuses: frozenset[int] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """Name in reports."""
        return f"{self.method} {self.path}"


class ApiSchema:
    """The served schema.

    Args:
        document: the content of ``/openapi.json``.
    """

    def __init__(self, document: Schema) -> None:
        self._document = document

    def operations(self) -> list[Operation]:
        """Return all operations."""
        return [
            self._operation(path, method.upper(), described)
            for path, methods in self._document["paths"].items()
            for method, described in methods.items()
        ]

    def places(self, schema: Schema) -> list[Place]:
        """Return all places of bodies of a schema: the body itself, each field, each item, and an unknown field."""
        found: dict[str, Place] = {}
        for place in self._places(schema, "", lambda value: value, ()):
            found.setdefault(place.name, place)
        return list(found.values())

    def valid(self, schema: Schema) -> Any:
        """Return a small value that is valid by a schema."""
        schema = self.resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        if alternatives := _alternatives(schema):
            return self.valid(alternatives[0])
        match schema.get("type"):
            case "object":
                names = [name for name, part in schema.get("properties", {}).items() if self._is_needed(name, schema)]
                return {name: _ENOUGH.get(name) or self.valid(schema["properties"][name]) for name in names}
            case "array":
                return [self.valid(schema["items"])] if schema.get("items") else []
            case "string":
                return "00000000-0000-4000-8000-000000000000" if schema.get("format") == "uuid" else "a"
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "boolean":
                return False
            case _:
                return None

    def resolved(self, schema: Schema) -> Schema:
        """Return a schema without a reference at its top."""
        while "$ref" in schema:
            place: Any = self._document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                place = place[step]
            schema = place
        return schema

    def _operation(self, path: str, method: str, described: Schema) -> Operation:
        content = described.get("requestBody", {}).get("content", {})
        kind = next(iter(content), None)
        return Operation(
            method,
            path,
            tuple(Parameter(given["name"], given["in"]) for given in described.get("parameters", ())),
            content[kind]["schema"] if kind else None,
            form=kind == "multipart/form-data",
            statuses=frozenset(int(status) for status in described["responses"] if status.isdecimal()),
        )

    def _is_needed(self, name: str, schema: Schema) -> bool:
        """True for required properties and for the tags of unions."""
        return name in schema.get("required", ()) or "const" in self.resolved(schema["properties"][name])

    def _places(self, schema: Schema, name: str, fill: Fill, above: tuple[str, ...]) -> Iterator[Place]:
        """Yield the place itself and all places below it. ``above`` has the references around it."""
        reference = schema.get("$ref")
        if reference:
            if reference in above or len(above) > _DEEPEST:
                return
            above = (*above, reference)
        schema = self.resolved(schema)
        yield Place(name, schema, fill)
        for alternative in _alternatives(schema):
            kind = alternative.get("$ref", "").rpartition("/")[2]
            yield from self._places(alternative, f"{name}<{kind}>" if kind else name, fill, above)
        if schema.get("type") == "array" and "items" in schema:
            yield from self._places(schema["items"], f"{name}[]", _item(fill, name), above)
        if schema.get("type") == "object":
            whole = self.valid(schema)
            for key, part in schema.get("properties", {}).items():
                inner = f"{name}.{key}".removeprefix(".")
                yield from self._places(part, inner, _member(fill, whole, key), above)
            inner = f"{name}.{_UNKNOWN}".removeprefix(".")
            yield Place(inner, {}, _member(fill, whole, _UNKNOWN))


def _alternatives(schema: Schema) -> list[Schema]:
    """Return the schemas of a union, those of null last."""
    found = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return sorted(found, key=lambda part: part.get("type") == "null")


def _member(fill: Fill, whole: Any, key: str) -> Fill:
    return lambda value: fill({**copy.deepcopy(whole), key: value})


def _item(fill: Fill, name: str) -> Fill:
    followers = _ENOUGH.get(name, [])
    return lambda value: fill([value, *followers])
