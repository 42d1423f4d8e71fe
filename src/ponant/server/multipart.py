"""Multipart forms with a file, parsed while they arrive."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ponant.errors import InvalidRequestError
from ponant.server.file_names import encoded_file_name, plain_file_name
from ponant.server.header_text import content_type_is

MOST_FIELDS = 20
"""Most fields of a form besides the file."""
LONGEST_VALUE = 2**16
"""Most bytes of a field other than the file."""


@dataclass(frozen=True)
class FilePart:
    """The head of a file in a form.

    Attributes:
        name: file name given by the client, without folders.
        content_type: media type given by the client; None if there is none.
    """

    name: str
    content_type: str | None


class FileSink(Protocol):
    """Destination of a form's file."""

    def begin(self, part: FilePart, fields: dict[str, str]) -> None:
        """Begin the file. ``fields`` are the fields before it."""

    def write(self, data: bytes) -> None:
        """Take a piece of the file."""


class FormReader:
    """Parser of a form with one file and short fields. The file's content is passed on as it arrives.

    Text before the first boundary is skipped.

    Attributes:
        fields: values of the fields so far, by name.
    """

    def __init__(self, content_type: str, file_field: str, sink: FileSink) -> None:
        """Parse a form.

        Args:
            content_type: the request's ``content-type`` header.
            file_field: name of the field with the file.
            sink: destination of the file.

        Raises:
            InvalidRequestError: the content type is not that of a multipart form.
        """
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise InvalidRequestError(
                f"The body must be a form: the {content_type_is(content_type)}; it must be multipart/form-data with a "
                "boundary"
            )
        self.fields: dict[str, str] = {}
        self._file_field = file_field
        self._sink = sink
        self._has_file = False
        self._complete = False
        self._header_name = b""
        self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._field: str | None = None
        self._value = b""
        self._first_boundary: re.Pattern[bytes] | None = re.compile(rb"\n--%b(?=\r\n|--)" % re.escape(boundary))
        self._longest_boundary = len(boundary) + 5
        self._before = b"\n"
        with _form_errors():
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )

    def feed(self, data: bytes) -> None:
        """Parse a piece of the body. Raises InvalidRequestError, and the errors of the sink."""
        with _form_errors():
            self._parser.write(self._without_preamble(data))

    def finish(self) -> None:
        """Check that the form is complete. Raises InvalidRequestError."""
        if not self._complete:
            raise InvalidRequestError("The form ends before it is complete")

    def _without_preamble(self, data: bytes) -> bytes:
        """Return the part of the data from the first boundary on."""
        if self._first_boundary is None:
            return data
        data = self._before + data
        found = self._first_boundary.search(data)
        if found is None:
            self._before = data[-self._longest_boundary :]
            return b""
        self._first_boundary = None
        return data[found.start() + 1 :]

    def _on_part_begin(self) -> None:
        self._headers = {}
        self._value = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        encoded_name = encoded_file_name(disposition)
        name = _text(options.get(b"name", b""), "the name of a field")
        if not name:
            raise InvalidRequestError("A part of the form has no name")
        if len(self.fields) >= MOST_FIELDS and name != self._file_field:
            raise InvalidRequestError(f"The form has more than {MOST_FIELDS} fields besides the file")
        if name in self.fields or (name == self._file_field and self._has_file):
            raise InvalidRequestError(f"The form has the field {name} twice", param=name)
        is_file = b"filename" in options or encoded_name is not None
        if is_file != (name == self._file_field):
            needed = "must be a file, with a file name" if name == self._file_field else "cannot be a file"
            raise InvalidRequestError(f"The field {name} {needed}", param=name)
        self._field = None if is_file else name
        if is_file:
            self._has_file = True
            content_type, _ = parse_options_header(self._headers.get(b"content-type"))
            file_name = _text(options[b"filename"], "the file's name") if encoded_name is None else encoded_name
            part = FilePart(plain_file_name(file_name), content_type.decode("latin-1") or None)
            self._sink.begin(part, dict(self.fields))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._sink.write(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > LONGEST_VALUE:
            raise InvalidRequestError(f"The field {self._field} has more than {LONGEST_VALUE} bytes", param=self._field)

    def _on_part_end(self) -> None:
        if self._field is not None:
            self.fields[self._field] = _text(self._value, f"the field {self._field}")

    def _on_end(self) -> None:
        self._complete = True


@contextmanager
def _form_errors() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise InvalidRequestError(f"The form cannot be read: {error}") from None


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidRequestError(f"The form cannot be read: {what} is not UTF-8") from None
