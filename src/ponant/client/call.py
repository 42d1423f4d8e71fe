"""Calls of the API: requests, and the readers of their answers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Generic, TypedDict, TypeVar

from pydantic import BaseModel

from ponant.client.retries import RetryConfig
from ponant.client.unset import UNSET, OptionalNullable

T = TypeVar("T")
Other = TypeVar("Other")


@dataclass(frozen=True)
class Options:
    """Options of one call, in place of the client's settings. Every operation has these parameters.

    Attributes:
        retries: Retries of a failed request; None for a single attempt. Defaults to the client's setting.
        server_url: Address of the server. Defaults to the client's.
        timeout_ms: Maximum time for the answer, or for the next piece of a stream or file, in milliseconds. Defaults to
            the client's setting.
        http_headers: Additional headers.
    """

    retries: OptionalNullable[RetryConfig] = UNSET
    server_url: str | None = None
    timeout_ms: int | None = None
    http_headers: Mapping[str, str] | None = None


class OptionParameters(TypedDict, total=False):
    """Parameters of an operation for ``Options``; see there."""

    retries: OptionalNullable[RetryConfig]
    server_url: str | None
    timeout_ms: int | None
    http_headers: Mapping[str, str] | None


@dataclass(frozen=True)
class Form:
    """Multipart form with a file.

    Attributes:
        fields: the other fields.
        file_name: name of the file.
        content: content of the file, read while it is sent.
        content_type: media type of the file; None to derive it from the name.
        is_own: True if the content was opened for this form, which closes it.
    """

    fields: Mapping[str, str]
    file_name: str
    content: bytes | IO[bytes]
    content_type: str | None = None
    is_own: bool = False

    @property
    def is_repeatable(self) -> bool:
        """True if the content can be read again."""
        return isinstance(self.content, bytes) or self.content.seekable()

    def close(self) -> None:
        """Close the content if it was opened for this form."""
        if self.is_own and not isinstance(self.content, bytes):
            self.content.close()


@dataclass(frozen=True)
class Call(Generic[T]):
    """Call of an operation.

    Attributes:
        method: HTTP method.
        path: path below the server's address.
        read: reader of a response's body, or of an event's data; raises ValueError.
        options: options of the call.
        body: JSON body.
        query: query parameters; a list repeats its parameter.
        form: form, in place of a JSON body.
        is_complete: returns True if the events of a streamed answer that were read are all of it.
    """

    method: str
    path: str
    read: Callable[[str | bytes], T]
    options: Options
    body: dict[str, Any] | None = None
    query: dict[str, Any] | None = None
    form: Form | None = None
    is_complete: Callable[[], bool] = lambda: False

    def reading(
        self, read: Callable[[str | bytes], Other], is_complete: Callable[[], bool] = lambda: False
    ) -> "Call[Other]":
        """Return the same call with another reader."""
        return Call(self.method, self.path, read, self.options, self.body, self.query, self.form, is_complete)

    def close(self) -> None:
        """Close the form, if there is one."""
        if self.form:
            self.form.close()


def fields(*, nullable: Mapping[str, Any], optional: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request that have a value.

    Args:
        nullable: fields that may be null; UNSET ones are left out.
        optional: fields that may not be null; None and UNSET ones are left out.
    """
    given = {name: value for name, value in nullable.items() if value is not UNSET}
    given |= {name: value for name, value in optional.items() if value is not None and value is not UNSET}
    return {name: as_json(value) for name, value in given.items()}


def as_json(value: Any) -> Any:
    """Return the JSON form of a value: typed models, also nested ones, become objects, and times become strings."""
    if isinstance(value, BaseModel):
        # Fields that were given, null or not, and defaults that are not null, such as a message's role.
        filled: dict[str, Any] = value.model_dump(mode="json", by_alias=True, exclude_none=True)
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True) | filled
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: as_json(part) for name, part in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [as_json(part) for part in value]
    return value
