"""The requests that samples make, and the server that they are sent to."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import quote, urlencode

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Scalar: TypeAlias = bool | int | float | str
Query: TypeAlias = Mapping[str, Scalar | list[Scalar]]
Method: TypeAlias = Literal["GET", "POST", "PATCH", "DELETE"]

METHODS: tuple[Method, ...] = ("GET", "POST", "PATCH", "DELETE")
DEEPEST = 32
"""Deepest nesting of values in a body. Python's compiler refuses more than 100 brackets."""
MOST_VALUES = 10_000
"""Most values in a body. A list of texts to embed may be long."""
_ADDRESS = re.compile(
    r"https?://(\[[\da-f:.]+\]|[\w.\-~]+)(:\d{1,5})?(/([\w.\-~/]|%[\da-f]{2})*)?", re.ASCII | re.IGNORECASE
)
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PATH = re.compile(r"/([\w.\-~:@!$&'()*+,;=/]|%[\da-fA-F]{2})*", re.ASCII)


@dataclass(frozen=True)
class UploadForm:
    """Multipart form of an upload.

    Attributes:
        file_name: file to send, from the folder in which the program runs.
        fields: the other fields.
    """

    file_name: str
    fields: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class ApiCall:
    """A request.

    Attributes:
        method: HTTP method.
        path: path on the server, with the ids in it percent-encoded.
        query: query parameters. A parameter with a list is repeated.
        body: JSON body, None for none.
        form: form, for uploads.

    Raises:
        ValueError: the path is not one, the request can have no body, or its body is too large or has a number that
            JSON cannot express.
    """

    method: Method
    path: str
    query: Query = field(default_factory=dict)
    body: dict[str, Json] | None = None
    form: UploadForm | None = None

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise ValueError("The path is not a path with percent-encoded characters, such as /v1/models/a%20model.")
        if self.body is not None and (self.form or self.method in ("GET", "DELETE")):
            raise ValueError(f"{'An upload' if self.form else f'A {self.method} request'} has no JSON body.")
        _check(self.body)

    @property
    def is_streamed(self) -> bool:
        """True if the answer is a stream of events."""
        return self.body is not None and self.body.get("stream") is True

    @property
    def target(self) -> str:
        """Path with the query."""
        pairs = [(name, field_text(item)) for name, value in self.query.items() for item in items_of(value)]
        return f"{self.path}?{urlencode(pairs, quote_via=quote)}" if pairs else self.path


@dataclass(frozen=True)
class Target:
    """Server that a sample calls.

    Attributes:
        address: address without a path of the API, such as ``http://127.0.0.1:8000``.
        key: environment variable with the key; None for a server without keys.

    Raises:
        ValueError: the address or the variable's name is not valid.
    """

    address: str
    key: str | None = None

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.address):
            raise ValueError("The address is not an address of a server, such as http://127.0.0.1:8000.")
        if self.key is not None and not _VARIABLE.fullmatch(self.key):
            raise ValueError("The key's environment variable has characters other than letters, digits and _.")

    def url(self, call: ApiCall) -> str:
        """Return the address of a request."""
        return f"{self.address.rstrip('/')}{call.target}"


def field_text(value: Scalar) -> str:
    """Return a value as forms and queries have it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def items_of(value: Scalar | list[Scalar]) -> list[Scalar]:
    """Return the values of a query parameter."""
    return value if isinstance(value, list) else [value]


def _check(body: Json) -> None:
    parts: list[tuple[Json, int]] = [(body, DEEPEST)]
    for value, depth in parts:  # grows
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("The body has a number that JSON cannot express.")
        if not isinstance(value, dict | list):
            continue
        inner = value.values() if isinstance(value, dict) else value
        if not depth or len(parts) + len(inner) > MOST_VALUES:
            limits = f"{DEEPEST} levels and {MOST_VALUES:,} values"
            raise ValueError(f"The body is too large for code samples, which may have {limits}. Send it without them.")
        parts += [(item, depth - 1) for item in inner]
