"""The document as the trials read it: with all that the server tolerates, and events as Schemathesis reads them."""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.request import urlopen

WITHOUT_MODEL = ("ChatCompletionRequest", "FIMCompletionRequest", "EmbeddingRequest")
"""Requests whose field ``model`` is required in the document, and may be missing: a default model answers."""
EVENT = "CompletionEvent"
"""Event of a stream. The document has its data as an object, as the Mistral API's, and Schemathesis as a text."""


def fetch_document(url: str, *, timeout: float = 30.0) -> dict[str, Any]:
    """Return the document of a server as ``tolerant`` does, within ``timeout`` seconds."""
    with urlopen(f"{url}/openapi.json", timeout=timeout) as response:
        return tolerant(json.load(response))


def tolerant(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with these exceptions, each of which the page of the API describes in words.

    The model of a request may be missing, and null stands for every missing field.
    """
    found = copy.deepcopy(dict(document))
    schemas = found["components"]["schemas"]
    for name in WITHOUT_MODEL:
        schemas[name]["required"].remove("model")
    for schema in schemas.values():
        for name in _optional(schema):
            schema["properties"][name] = _with_null(schema["properties"][name])
    data = schemas[EVENT]["properties"]["data"]
    schemas[EVENT]["properties"]["data"] = {"type": "string", "contentSchema": {"$ref": data["$ref"]}}
    return found


def _optional(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the optional fields of a request's object, except those that mark its kind."""
    if schema.get("additionalProperties") is False:
        for name, field in schema.get("properties", {}).items():
            if name not in schema.get("required", ()) and "const" not in field:
                yield name


def _with_null(field: dict[str, Any]) -> dict[str, Any]:
    choices = field.get("anyOf") or [
        {name: value for name, value in field.items() if name not in ("description", "default")}
    ]
    return {"anyOf": [*(choice for choice in choices if choice.get("type") != "null"), {"type": "null"}]}
