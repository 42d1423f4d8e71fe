"""Translation of error responses and of HTTP failures to the client's errors, with advice."""

from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any

import httpx2
from pydantic_core import from_json

from ponant.api.errors import ErrorResponse, HTTPValidationErrorData
from ponant.client.errors import (
    Advice,
    ConnectError,
    ConnectionLostError,
    HTTPValidationError,
    MistralError,
    NoResponseError,
    RequestTimeoutError,
    SDKError,
)
from ponant.transports.environment import CERTIFICATE_REFUSED, ProxyFailedError, UnusableSettingError

_LONGEST_QUOTE = 2000
"""Maximum length in characters of a body in a message."""

_UNNAMED = "error"
"""Type of errors without a type."""

_OTHER_FORMS: Mapping[str, Advice] = {"text/event-stream": Advice.STREAMED, "application/json": Advice.WHOLE}
_ADVICE: Mapping[int, Advice] = {
    401: Advice.KEY,
    413: Advice.SIZE,
    429: Advice.LATER,
    503: Advice.SOON,
    507: Advice.SPACE,
    504: Advice.TOKENS,
}


def error_of(response: httpx2.Response) -> MistralError:
    """Return the error of a response whose body has been read."""
    if response.status_code == 422:
        try:
            return HTTPValidationError(
                HTTPValidationErrorData.model_validate_json(response.content.removeprefix(BOM_UTF8)), response
            )
        except ValueError:
            pass  # not the API's format of a 422
    message, advice = _described(response)
    return SDKError(message, response, advice=advice)


def reported_error(body: str | bytes) -> ErrorResponse | None:
    """Return the error in a body, in the API's format or another common one; None if there is none."""
    try:
        data: Any = from_json(body.removeprefix(BOM_UTF8) if isinstance(body, bytes) else body)
    except ValueError:
        return None
    inner = data.get("error", data) if isinstance(data, dict) else None
    said = {"message": inner} if isinstance(inner, str) else inner if isinstance(inner, dict) else {}
    message = said.get("message", said.get("detail"))
    if not isinstance(message, str):
        return None
    kind, param, code = (
        None if (value := said.get(name)) is None else str(value) for name in ("type", "param", "code")
    )
    return ErrorResponse(message=message, type=kind or _UNNAMED, param=param, code=code)


def unexpected(response: httpx2.Response, expected: str, body: str | None = None) -> SDKError:
    """Return the error for a response of an unexpected type."""
    kind = response.headers.get("content-type", "").partition(";")[0] or "no content type"
    message = f"Unexpected response: status {response.status_code} with {kind} where {expected} was expected."
    advice = _OTHER_FORMS.get(kind)
    if advice is None:
        message += f" Does {response.request.url} belong to a server with this API?"
    return SDKError(message, response, body, advice)


def failure(
    error: httpx2.RequestError, request: httpx2.Request, *, seconds: float | None = None, begun: bool = False
) -> NoResponseError:
    """Return the error for a request without a response, or with an interrupted one.

    Args:
        error: error of httpx2.
        request: the request.
        seconds: time limit in seconds.
        begun: True if the error occurred within a stream.
    """
    server = f"{request.url.scheme}://{request.url.netloc.decode()}"
    reason = str(error) or type(error).__name__
    match error:
        case UnusableSettingError() | ProxyFailedError():
            return ConnectError(f"Cannot connect to {server}: {reason}.")
        case httpx2.ConnectError() if CERTIFICATE_REFUSED in reason:
            return ConnectError(
                f"Cannot connect to {server} ({reason}). Set SSL_CERT_FILE to a file with the certificate of the "
                "authority that issued the server's certificate."
            )
        case httpx2.ConnectError() | httpx2.ConnectTimeout() | httpx2.ProxyError():
            return ConnectError(f"Cannot connect to {server} ({reason}).", Advice.SERVER)
        case httpx2.TimeoutException():
            limit = f" within {seconds:g} s" if seconds else " in time"
            what = "The next event of the stream did not arrive" if begun else "The answer did not arrive"
            return RequestTimeoutError(f"{what}{limit}.", Advice.TIME)
        case httpx2.DecodingError():
            return ConnectionLostError(f"The answer of {server} cannot be decoded: {reason}")
        case _:
            return ConnectionLostError(f"The connection to {server} ended before the answer was complete ({reason}).")


def _described(response: httpx2.Response) -> tuple[str, Advice | None]:
    """Return the description of an error response, and its remedy."""
    status, advice = response.status_code, _ADVICE.get(response.status_code)
    error = reported_error(response.content)
    if error is None:
        said = f"API error occurred: status {status}. Body: {_quoted(response.text)}"
    else:
        kind = "" if error.type == _UNNAMED else f", {error.type}"
        said = f"{error.message.rstrip('.')} (status {status}{kind})."
    if error and error.type == "invalid_model":
        advice = Advice.MODELS
    elif status == 404 and (error is None or error.type == _UNNAMED):
        said += f" Does {response.request.url} belong to a server with this API?"
    return said, advice


def _quoted(text: str) -> str:
    rest = len(text) - _LONGEST_QUOTE
    return f"{text[:_LONGEST_QUOTE]}... and {rest} more characters" if rest > 0 else text or '""'
