"""The document as the trials read it: with all that the server tolerates, and events as Schemathesis reads them."""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.request import urlopen

WITHOUT_MODEL = ("ChatCompletionRequest", "FIMCompletionRequest", "EmbeddingRequest")
"""Requests whose field ``model`` is required in the document, and may be missing: a default model answers."""
EVENT = "CompletionEvent"
"""Event of a stream. Schemathesis reads its data as a text, and adds fields; tests check that it is as documented."""


def fetch_document(url: str, *, timeout: float = 30.0) -> dict[str, Any]:
    """Return the document of a server as ``tolerant`` does, within ``timeout`` seconds."""
    with urlopen(f"{url}/openapi.json", timeout=timeout) as response:
        return tolerant(json.load(response))


def tolerant(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with these exceptions, each of which the page of the API describes in words.

    The model of a request may be missing, and null stands for every missing field. Forms have no other fields.
    """
    found = copy.deepcopy(dict(document))
    schemas = found["components"]["schemas"]
    for name in WITHOUT_MODEL:
        schemas[name]["required"].remove("model")
    marks = set(_marks(found))
    for title, schema in schemas.items():
        for name in _optional(schema):
            if (title, name) not in marks:
                schema["properties"][name] = _with_null(schema["properties"][name])
    form = found["paths"]["/v1/files"]["post"]["requestBody"]["content"]["multipart/form-data"]
    form["schema"]["additionalProperties"] = False
    del schemas[EVENT]["additionalProperties"]
    schemas[EVENT]["properties"]["data"] = {"type": "string"}
    return found


def _marks(part: Any) -> Iterator[tuple[str, str]]:
    """Yield the fields that mark the kind of an object, and cannot be null: the name of the schema, and the field."""
    if isinstance(part, dict) and isinstance(mark := part.get("discriminator"), dict):
        for reference in mark.get("mapping", {}).values():
            yield reference.rpartition("/")[2], mark["propertyName"]
    if isinstance(part, dict | list):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from _marks(inner)


def _optional(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the optional fields of a request's object."""
    if schema.get("additionalProperties") is False:
        yield from schema.get("properties", {}).keys() - set(schema.get("required", ()))


def _with_null(field: dict[str, Any]) -> dict[str, Any]:
    choices = field.get("anyOf") or [
        {name: value for name, value in field.items() if name not in ("description", "default")}
    ]
    return {"anyOf": [*(choice for choice in choices if choice.get("type") != "null"), {"type": "null"}]}
