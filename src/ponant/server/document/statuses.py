"""Answers of an operation by status: successes with their examples, and the errors of ``docs/errors.md``."""

from collections.abc import Mapping
from typing import Any

from ponant.server.document.examples.errors import ERRORS, ErrorExample
from ponant.server.document.operation_text import CONTENT, JSON, AnswerExample, OperationText

Json = dict[str, Any]

ALWAYS = (400, 401, 403, 405, 408, 413, 415, 431, 500, 503)
"""Statuses of all operations."""
_SCHEMAS = {401: "Unauthorized", 422: "HTTPValidationError"}
"""Schemas of errors that are no ``ErrorResponse``."""
_HEADERS: Mapping[int, Mapping[str, tuple[str, str]]] = {
    401: {"WWW-Authenticate": ("Authentication scheme.", "Bearer")},
    405: {"Allow": ("Methods that the path supports.", "GET, DELETE")},
    429: {"Retry-After": ("Number of seconds to wait before trying again.", "5")},
    503: {"Retry-After": ("Number of seconds to wait before trying again.", "2")},
}
_PARTIAL = "Part of the content, for a request with a `Range` header."


def responses_of(operation: Json, text: OperationText) -> Json:
    """Return the responses of an operation, by status in ascending order."""
    found = {200: _success(operation["responses"]["200"], text)}
    if CONTENT in text.answers:
        found[206] = found[200] | {"description": _PARTIAL}
    errors = {status: ERRORS[status] for status in ALWAYS} | dict(text.statuses)
    found |= {status: _error(status, error) for status, error in errors.items()}
    return {str(status): found[status] for status in sorted(found)}


def _success(response: Json, text: OperationText) -> Json:
    content = {
        media: described | {"examples": _named(text.answers[media])} for media, described in response["content"].items()
    }
    return {"description": text.success, "content": content}


def _named(examples: tuple[AnswerExample, ...]) -> Json:
    return {example.name: {"summary": example.summary, "value": example.value} for example in examples}


def _error(status: int, error: ErrorExample) -> Json:
    schema = {"$ref": f"#/components/schemas/{_SCHEMAS.get(status, 'ErrorResponse')}"}
    example = {"error": {"summary": "An error", "value": dict(error.body)}}
    response: Json = {"description": error.text, "content": {JSON: {"schema": schema, "examples": example}}}
    if headers := _HEADERS.get(status):
        response["headers"] = {
            name: {"description": text, "schema": {"type": "string"}, "example": value}
            for name, (text, value) in headers.items()
        }
    return response
