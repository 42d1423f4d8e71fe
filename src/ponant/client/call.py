"""A call of the API: what is sent, and how the answer is read."""

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
    """How one call departs from the client's own settings. Every operation has these parameters.

    Attributes:
        retries: Whether and how a request that fails is sent again, in place of the client's setting; None for a single
            attempt.
        server_url: Address of the server, in place of the client's.
        timeout_ms: How long the answer, or the next piece of a stream or of a file, may take, in place of the client's
            setting.
        http_headers: Further headers.
    """

    retries: OptionalNullable[RetryConfig] = UNSET
    server_url: str | None = None
    timeout_ms: int | None = None
    http_headers: Mapping[str, str] | None = None


class OptionParameters(TypedDict, total=False):
    """``Options`` as parameters of an operation; ``Options`` says what they mean."""

    retries: OptionalNullable[RetryConfig]
    server_url: str | None
    timeout_ms: int | None
    http_headers: Mapping[str, str] | None


@dataclass(frozen=True)
class Form:
    """A form with a file.

    Attributes:
        fields: the other fields.
        file_name: the file's name.
        content: the file's content, read while it is sent.
        content_type: the file's media type; None for what its name says.
        is_own: whether the content was opened for this form, and is closed with it.
    """

    fields: Mapping[str, str]
    file_name: str
    content: bytes | IO[bytes]
    content_type: str | None = None
    is_own: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether the content can be read again."""
        return isinstance(self.content, bytes) or self.content.seekable()

    def close(self) -> None:
        """Close what was opened for it."""
        if self.is_own and not isinstance(self.content, bytes):
            self.content.close()


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call.

    Attributes:
        method: the HTTP method.
        path: the path below the server's address.
        read: makes the result of a response's body, or of an event's data; raises ValueError if it cannot.
        options: how it is to be sent.
        body: the JSON body.
        query: what stands behind the path's question mark; lists are repeated.
        form: a form, in place of a JSON body.
    """

    method: str
    path: str
    read: Callable[[str | bytes], T]
    options: Options
    body: dict[str, Any] | None = None
    query: dict[str, Any] | None = None
    form: Form | None = None

    def reading(self, read: Callable[[str | bytes], Other]) -> "Call[Other]":
        """The same call, with its answer read in another way."""
        return Call(self.method, self.path, read, self.options, self.body, self.query, self.form)

    def close(self) -> None:
        """Close what was opened for it."""
        if self.form:
            self.form.close()


def fields(*, nullable: Mapping[str, Any], optional: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request that were given.

    Args:
        nullable: fields that may be null; those that are UNSET are left out.
        optional: fields that may not; those that are None (or UNSET) are left out.
    """
    given = {name: value for name, value in nullable.items() if value is not UNSET}
    given |= {name: value for name, value in optional.items() if value is not None and value is not UNSET}
    return {name: as_json(value) for name, value in given.items()}


def as_json(value: Any) -> Any:
    """What JSON has for a value: typed models become objects, in lists and mappings too; times become strings."""
    if isinstance(value, BaseModel):
        # What was given, null or not, and what is not null by itself, such as a message's role.
        filled: dict[str, Any] = value.model_dump(mode="json", by_alias=True, exclude_none=True)
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True) | filled
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: as_json(part) for name, part in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [as_json(part) for part in value]
    return value
