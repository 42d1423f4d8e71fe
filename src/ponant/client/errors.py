"""Errors of the client. Messages state the remedy where there is one."""

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ponant.api.errors import ErrorResponse, HTTPValidationErrorData

if TYPE_CHECKING:
    import httpx2


class Advice(StrEnum):
    """Remedies at the end of messages."""

    MODELS = "models.list() returns the available models."
    KEY = "Pass the server's key as api_key, or set PONANT_API_KEY or MISTRAL_API_KEY."
    SIZE = "Send less at once, or raise max_body_size (for files, max_file_size) on the server."
    LATER = "Try again later, or let the client retry with retries=RetryConfig(...)."
    SOON = "Try again in a moment, or let the client retry with retries=RetryConfig(...)."
    SPACE = "Delete files that are no longer needed, or give the server more disk space."
    TOKENS = "Reduce max_tokens, or raise request_timeout on the server."
    STREAMED = "Use `stream` for streams: chat.stream, fim.stream."
    WHOLE = "Use `complete` for whole answers: chat.complete, fim.complete."
    TIME = "Increase timeout_ms, or reduce max_tokens."
    SERVER = (
        "Is the server running? Start one with `ponant serve`, set its address with server_url or PONANT_URL, or use "
        "Mistral.local(), which needs none."
    )


class ClientError(Exception):
    """Base class of all errors of requests.

    Attributes:
        message: Error and its remedy.
        advice: The remedy alone, if it is a common one.
    """

    message: str
    advice: Advice | None = None

    def __init__(self, message: str, advice: Advice | None = None) -> None:
        self.message = f"{message} {advice}" if advice else message
        super().__init__(self.message)
        self.advice = advice


class MistralError(ClientError):
    """Base class of all errors with a response.

    Attributes:
        message: Error and its remedy.
        advice: The remedy alone, if it is a common one.
        status_code: HTTP status of the response.
        body: Text of the response.
        headers: Headers of the response.
        raw_response: Response of httpx2.
    """

    def __init__(
        self, message: str, raw_response: "httpx2.Response", body: str | None = None, advice: Advice | None = None
    ) -> None:
        super().__init__(message, advice)
        self.raw_response = raw_response
        self.status_code: int = raw_response.status_code
        self.headers: httpx2.Headers = raw_response.headers
        self.body: str = raw_response.text if body is None else body

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling, so that errors can be passed between processes."""
        return Exception.__new__, (type(self), self.message), self.__dict__


class SDKError(MistralError):
    """The server refused the request or failed, or its response is not one of the API."""


class HTTPValidationError(MistralError):
    """The server refused a field of the request (422). ``data.detail`` lists the fields and the reasons."""

    def __init__(self, data: HTTPValidationErrorData, raw_response: "httpx2.Response", body: str | None = None) -> None:
        reasons = [f"{'.'.join(map(str, reason.loc))}: {reason.msg}" for reason in data.detail]
        text = raw_response.text if body is None else body
        super().__init__("; ".join(reasons) or f"The request was refused (status 422): {text}", raw_response, text)
        self.data = data


class ResponseValidationError(MistralError):
    """The response does not have the expected format. ``cause`` is the reason."""

    def __init__(
        self, message: str, raw_response: "httpx2.Response", cause: Exception, body: str | None = None
    ) -> None:
        super().__init__(f"{message}: {cause}", raw_response, body)
        self.__cause__ = cause

    @property
    def cause(self) -> BaseException | None:
        """Error of parsing, usually pydantic's ValidationError."""
        return self.__cause__


class StreamError(MistralError):
    """The server reported an error within a stream. ``error`` is the reported error."""

    def __init__(self, error: ErrorResponse, raw_response: "httpx2.Response", body: str) -> None:
        super().__init__(f"The answer broke off: {error.message}", raw_response, body)
        self.error = error


class NoResponseError(ClientError):
    """There was no response, or it was interrupted."""


class ConnectError(NoResponseError, ConnectionError):
    """The server cannot be reached."""


class ConnectionLostError(NoResponseError, ConnectionError):
    """The connection ended before the answer was complete."""


class RequestTimeoutError(NoResponseError, TimeoutError):
    """The answer, or the next event of a stream, took longer than ``timeout_ms``."""
