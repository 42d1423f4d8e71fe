"""Translation of errors to responses."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Mount

from ponant.api.errors import ErrorResponse
from ponant.catalog.catalog import UnknownModelError
from ponant.completion.completion import CompletionFailedError
from ponant.engine.embed.base import EmbeddingFailedError
from ponant.errors import (
    DeadlineExceededError,
    EngineUnavailableError,
    InvalidRequestError,
    QueueFullError,
    RequestRefusedError,
)
from ponant.private_files import without_folders
from ponant.server.dialects.base import exchange_of
from ponant.server.disconnect import GONE
from ponant.server.invalid import report, shortened
from ponant.storage.errors import StorageError, StorageFullError, UnknownFileError, UnknownJobError

logger = logging.getLogger("ponant.server")

_FAILURES = {
    RequestRefusedError: "request_refused",
    EmbeddingFailedError: "embedding_failed",
    CompletionFailedError: "completion_failed",
}
"""Types of the errors with which an engine gives up a single request."""
_RETRY_AFTER = {429: "5", 503: "2"}
"""Values of ``retry-after`` by status, in seconds."""
ENCODED = "unsupported_content_encoding"
"""Type of the error for compressed bodies."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_LONGEST_MESSAGE = 4000
"""Most characters of an error's message."""


def describe(error: Exception) -> tuple[int, ErrorResponse]:
    """Return the status and body of an error. Texts of the request that it repeats are shortened."""
    status, body = _described(error)
    body.message = shortened(body.message, _LONGEST_MESSAGE)
    return status, body


def _described(error: Exception) -> tuple[int, ErrorResponse]:
    match error:
        case InvalidRequestError():
            return 400, ErrorResponse(message=str(error), type=error.kind, param=error.param, code="3051")
        case UnknownModelError():
            return 400, ErrorResponse(message=f"Invalid model: {error}", type="invalid_model", code="1500")
        case UnknownFileError():
            return 404, ErrorResponse(message=f"There is no file {error}.", type="not_found", param="file_id")
        case UnknownJobError():
            return 404, ErrorResponse(message=f"There is no fine-tuning job {error}.", type="not_found", param="job_id")
        case StorageFullError():
            return 507, ErrorResponse(
                message="The server cannot store this: its disk is full.", type="insufficient_storage"
            )
        case StorageError():
            return 503, ErrorResponse(
                message="The server's storage is unavailable at the moment.", type="unavailable", code="3700"
            )
        case QueueFullError():
            return 429, ErrorResponse(
                message=f"The server is busy: {error}. Try again later.", type="rate_limited", code="1300"
            )
        case EngineUnavailableError():
            return 503, ErrorResponse(
                message=f"Service unavailable: {without_folders(str(error))}.", type="unavailable", code="3700"
            )
        case DeadlineExceededError():
            return 504, ErrorResponse(
                message="The request took longer than the server allows.", type="timeout", code="3704"
            )
        case RequestRefusedError() | EmbeddingFailedError() | CompletionFailedError():
            return 500, ErrorResponse(
                message=f"{without_folders(str(error))}.", type=_FAILURES[type(error)], code="3500"
            )
        case _:
            return 500, ErrorResponse(message="Internal server error.", type="internal_server_error", code="1000")


def error_response(status: int, body: ErrorResponse, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a response in the API's error format."""
    headers = dict(headers or {})
    if body.type == _FAILURES[RequestRefusedError]:
        headers["x-should-retry"] = "false"
    if status in _RETRY_AFTER:
        headers["retry-after"] = _RETRY_AFTER[status]
    return JSONResponse(body.model_dump(), status, headers)


def add_error_handlers(app: FastAPI) -> None:
    """Add handlers that report all errors in the API's formats."""

    async def known(_: Request, error: Exception) -> Response:
        if isinstance(error, StorageError):
            logger.error("storage failed", exc_info=error)
        return error_response(*describe(error))

    async def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=GONE)

    async def unexpected(request: Request, error: Exception) -> Response:
        logger.error("request failed", exc_info=error)
        request_id = request.scope.get("request_id")
        response = error_response(*describe(error), {"x-request-id": request_id} if request_id else None)
        # This response is sent outside of all middleware, so it is translated here.
        response.body = exchange_of(request.scope).answers.whole(response.status_code, bytes(response.body))[1]
        response.headers["content-length"] = str(len(response.body))
        return response

    for kind in (
        InvalidRequestError,
        UnknownModelError,
        QueueFullError,
        EngineUnavailableError,
        RequestRefusedError,
        DeadlineExceededError,
        CompletionFailedError,
        EmbeddingFailedError,
        StorageError,
        UnknownFileError,
        UnknownJobError,
    ):
        app.add_exception_handler(kind, known)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(RequestValidationError, _invalid_body)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, unexpected)


async def _invalid_body(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    reasons = list(error.errors())
    # The error and the frames of its traceback refer to each other, and to the whole body.
    error.with_traceback(None)
    error.__context__ = None
    return Response(report(reasons, exchange_of(request.scope)), 422, media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405 and (methods := _methods(request)):
        headers = {"allow": ", ".join(methods)}
    kinds = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large", 415: ENCODED}
    body = ErrorResponse(message=str(error.detail), type=kinds.get(error.status_code, "invalid_request_error"))
    return error_response(error.status_code, body, headers)


def _methods(request: Request) -> list[str]:
    """Return the methods of the request's path, by all its routes; none for mounted applications."""
    routes = [route for route in request.app.router.routes if not isinstance(route, Mount)]
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
