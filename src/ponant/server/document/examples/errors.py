"""Examples of errors by status: those of ``docs/errors.md``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ponant.api.errors import ErrorResponse
from ponant.server.document.examples.files import FILE_ID
from ponant.server.document.examples.fine_tuning import JOB_ID


@dataclass(frozen=True, slots=True)
class ErrorExample:
    """An error.

    Attributes:
        text: its causes.
        body: its body.
    """

    text: str
    body: Mapping[str, Any]


def _error(text: str, message: str, kind: str, param: str | None = None, code: str | None = None) -> ErrorExample:
    return ErrorExample(text, ErrorResponse(message=message, type=kind, param=param, code=code).model_dump())


def _refused(message: str, param: str | None) -> ErrorExample:
    return _error(_CANNOT, message, "invalid_request_error", param, "3051")


_CANNOT = "The request matches the schema but breaks another rule, which the message states."
UNAUTHORIZED: dict[str, Any] = {"detail": "Unauthorized"}
UNAUTHORIZED_SCHEMA: dict[str, Any] = {
    "title": "Unauthorized",
    "type": "object",
    "properties": {"detail": {"type": "string"}},
    "required": ["detail"],
}
INVALID: dict[str, Any] = {
    "detail": [
        {
            "type": "less_than_equal",
            "loc": ["body", "temperature"],
            "msg": "Input should be less than or equal to 1.5",
            "input": 7,
        }
    ]
}


def _invalid_integer(name: str, sent: str) -> dict[str, Any]:
    message = "Input should be a valid integer, unable to parse string as an integer"
    return {"detail": [{"type": "int_parsing", "loc": ["query", name], "msg": message, "input": sent}]}


INVALID_QUERY = _invalid_integer("page", "first")
INVALID_EXPIRY = _invalid_integer("expiry", "tomorrow")

ERRORS: Mapping[int, ErrorExample] = {
    400: _error(
        _CANNOT,
        "The query has 1200 parameters, and may have 1000.",
        "invalid_request_error",
    ),
    401: ErrorExample("The key is missing or wrong, on a server with keys.", UNAUTHORIZED),
    403: _error(
        "On a server without keys, the request names another host in its `Host` header, or comes from another site's "
        "web page.",
        "This server answers requests for localhost only. Start it with a key to serve other hosts.",
        "invalid_host",
    ),
    405: _error(
        "The path does not support this method. The `Allow` header lists the methods that it supports.",
        "Method Not Allowed",
        "method_not_allowed",
    ),
    408: _error(
        "The request did not arrive in time, and the connection is closed.",
        "The request did not arrive in time.",
        "timeout",
        code="3704",
    ),
    413: _error(
        "The body is too large: it has too many bytes or too many JSON values.",
        "The request body is larger than 10485760 bytes.",
        "request_too_large",
    ),
    415: _error(
        "The body is compressed.",
        "The content-encoding is gzip. This server reads only bodies without compression: send it as it is.",
        "unsupported_content_encoding",
    ),
    416: _error(
        "The range in the `Range` header begins after the end of the file.",
        "The range begins after the end of the file, which has 517 bytes.",
        "invalid_range",
    ),
    422: ErrorExample(
        "A field or parameter is missing, unknown, of the wrong type or out of range; `detail` lists at most 20 "
        "errors.",
        INVALID,
    ),
    429: _error(
        "Too many requests are waiting. Try again after the number of seconds in the `Retry-After` header.",
        "The server is busy: 64 requests are waiting. Try again later.",
        "rate_limited",
        code="1300",
    ),
    431: _error(
        "The URL and the headers together exceed 64 kB.",
        "The address and the headers have 70000 bytes, and may have 65536 together.",
        "request_too_large",
    ),
    500: _error("An internal error.", "Internal server error.", "internal_server_error", code="1000"),
    503: _error(
        "The server, its engine or its storage is unavailable at the moment. Try again after the number of seconds in "
        "the `Retry-After` header.",
        "Service unavailable: the models are still being loaded.",
        "unavailable",
        code="3700",
    ),
    504: _error(
        "The request took longer than the setting `request_timeout`.",
        "The request took longer than the server allows.",
        "timeout",
        code="3704",
    ),
    507: _error(
        "The server's disk is full. Files and models can still be deleted.",
        "The server cannot store this: its disk is full.",
        "insufficient_storage",
    ),
}

NO_MODEL = _error(
    "There is no such model.", "Invalid model: there is no model no-such-model.", "invalid_model", code="1500"
)
NO_FILE = _error("There is no such file.", f"There is no file {FILE_ID}.", "not_found", "file_id")
NO_JOB = _error("There is no such job.", f"There is no fine-tuning job {JOB_ID}.", "not_found", "job_id")
PAGE_SIZE = _refused("page_size must be from 1 to 1000", "page_size")
EXPIRY = _refused("expiry must be from 1 to 168 hours", "expiry")
TOP_LOGPROBS = _refused("top_logprobs requires logprobs to be true", "top_logprobs")
MIN_TOKENS = _refused("min_tokens is greater than max_tokens", "min_tokens")
EMPTY_TEXT = _refused("Text 1 of the input is empty", "input")
BASE_MODEL = _refused("smollm2 is a base model: only fine-tuned models can be deleted", "model_id")
EMPTY_FILE = _refused("The file is empty", "file")
NO_TRAINING_FILES = _refused("training_files is empty. Name at least one file.", "training_files")
NUL = _refused("The name contains a NUL character.", "name")
BAD_RANGE = _error(
    _CANNOT, "The header Range is malformed: send bytes=FIRST-LAST, with positions from 0.", "invalid_range"
)
STARTED = _refused("the job is SUCCESS; only jobs that have not been started can be started", None)
ENDED = _refused("the job is SUCCESS already and cannot be cancelled", None)
