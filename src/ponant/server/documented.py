"""Error responses in the OpenAPI schema: those of ``docs/errors.md``, by operation."""

from collections.abc import Iterator
from typing import Any

from ponant.api.errors import ErrorResponse

_ANY = {
    400: "The request is invalid for a reason that the schema does not express.",
    401: "The key is missing or wrong.",
    403: "The request comes from a foreign host or web page.",
    408: "The request did not arrive in time.",
    413: "The body is too large.",
    415: "The body is compressed.",
    422: "The body or a parameter is invalid.",
    500: "Internal error.",
    503: "The server or its storage is unavailable at the moment.",
}
_NAMED = {404: "There is no such file, job or model."}
"""Of operations with an id in their path."""
_COMPUTING = {429: "Too many requests wait.", 504: "The request exceeds the time limit of the server."}
_STORING = {507: "The disk is full."}
_COMPUTED = ("/v1/chat/completions", "/v1/fim/completions", "/v1/embeddings")
_STORED = ("/v1/files", "/v1/fine_tuning/jobs", "/v1/fine_tuning/models/")
_CHANGING = ("post", "patch")


def document_errors(schema: dict[str, Any]) -> None:
    """Add the error responses to all operations of an OpenAPI schema. Responses that it has are kept."""
    schema["components"]["schemas"][ErrorResponse.__name__] = ErrorResponse.model_json_schema()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            for status, description in _errors(path, method):
                body = _BODIES.get(status, _reference(ErrorResponse.__name__))
                content = {"application/json": {"schema": body}}
                operation["responses"].setdefault(str(status), {"description": description, "content": content})


def _errors(path: str, method: str) -> Iterator[tuple[int, str]]:
    yield from _ANY.items()
    if "{" in path:
        yield from _NAMED.items()
    if path in _COMPUTED:
        yield from _COMPUTING.items()
    elif method in _CHANGING and path.startswith(_STORED):
        yield from _STORING.items()


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_BODIES = {
    401: {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]},
    422: _reference("HTTPValidationError"),
}
"""Bodies of errors that are no ``ErrorResponse``."""
