"""What the client raises. Every message says what to do, where something can be done."""

from typing import TYPE_CHECKING, Any

from ponant.api.errors import ErrorResponse, HTTPValidationErrorData

if TYPE_CHECKING:
    import httpx2


class ClientError(Exception):
    """The base of everything that the client raises about a request."""

    message: str

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class MistralError(ClientError):
    """The base of all errors that come with a response.

    Attributes:
        message: what happened, and what to do.
        status_code: the response's status.
        body: the response's text.
        headers: the response's headers.
        raw_response: the response itself.
    """

    def __init__(self, message: str, raw_response: "httpx2.Response", body: str | None = None) -> None:
        super().__init__(message)
        self.raw_response = raw_response
        self.status_code: int = raw_response.status_code
        self.headers: httpx2.Headers = raw_response.headers
        self.body: str = raw_response.text if body is None else body

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors can be handed from one process to another."""
        return Exception.__new__, (type(self), self.message), self.__dict__


class SDKError(MistralError):
    """The server refused the request or failed, or its response is none of the API's."""


class HTTPValidationError(MistralError):
    """The request's body was refused (422); ``data.detail`` says which field, and why."""

    def __init__(self, data: HTTPValidationErrorData, raw_response: "httpx2.Response", body: str | None = None) -> None:
        reasons = [f"{'.'.join(map(str, reason.loc))}: {reason.msg}" for reason in data.detail]
        text = raw_response.text if body is None else body
        super().__init__("; ".join(reasons) or f"The request was refused (status 422): {text}", raw_response, text)
        self.data = data


class ResponseValidationError(MistralError):
    """The response does not have the form that was expected; ``cause`` says why."""

    def __init__(
        self, message: str, raw_response: "httpx2.Response", cause: Exception, body: str | None = None
    ) -> None:
        super().__init__(f"{message}: {cause}", raw_response, body)
        self.__cause__ = cause

    @property
    def cause(self) -> BaseException | None:
        """What is wrong with it, usually pydantic's ValidationError."""
        return self.__cause__


class StreamError(MistralError):
    """The server reported an error inside a stream; ``error`` is what it said."""

    def __init__(self, error: ErrorResponse, raw_response: "httpx2.Response", body: str) -> None:
        super().__init__(f"The answer broke off: {error.message}", raw_response, body)
        self.error = error


class NoResponseError(ClientError):
    """There was no response, or it broke off."""


class ConnectError(NoResponseError, ConnectionError):
    """The server could not be reached."""


class ConnectionLostError(NoResponseError, ConnectionError):
    """The connection ended before the answer was complete."""


class RequestTimeoutError(NoResponseError, TimeoutError):
    """The answer, or the next event of a stream, took longer than ``timeout_ms``."""
