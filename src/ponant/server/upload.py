"""Uploads of files: from the pieces of a form to a checked blob on disk."""

import mimetypes
import unicodedata
from collections.abc import Callable

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from ponant.api.files import LONGEST_EXPIRY, FilePurpose, SampleType, UploadFileIn
from ponant.errors import InvalidRequestError
from ponant.server.multipart import FilePart, FormReader
from ponant.storage.blobs import BlobWriter
from ponant.storage.descriptions import FileDetails
from ponant.storage.json_lines import MAX_REPORTED, InvalidLinesError, JsonLines

_FILE = "file"
_LONGEST_NAME = 255
_SECONDS_OF_AN_HOUR = 3600
_UNKNOWN_TYPE = "application/octet-stream"
_TYPES = {".jsonl": "application/jsonl"}
"""Media types that the module ``mimetypes`` lacks."""


class Upload:
    """An upload. All methods block and are called one after the other; ``discard`` is always called last.

    Attributes:
        writer: writer of the blob; None before the beginning of the file.
    """

    def __init__(self, content_type: str, create: Callable[[], BlobWriter], limit: int) -> None:
        """Begin an upload.

        Args:
            content_type: the request's ``content-type`` header.
            create: creates the writer of the blob.
            limit: largest size of a file, in bytes.

        Raises:
            InvalidRequestError: the content type is not that of a multipart form.
        """
        self.writer: BlobWriter | None = None
        self._create = create
        self._limit = limit
        self._form = FormReader(content_type, _FILE, self)
        self._part = FilePart("", None)
        self._purpose: FilePurpose | None = None
        self._lines = JsonLines()
        self._problem: InvalidLinesError | None = None
        self._newlines = 0
        self._ends_with_newline = True

    def feed(self, data: bytes) -> None:
        """Parse a piece of the form.

        Raises:
            InvalidRequestError: the form is invalid, or the file is invalid for its purpose.
            HTTPException: the file is too large (413).
            StorageError: the file cannot be written.
        """
        self._form.feed(data)

    def finish(self) -> FileDetails:
        """Return the details of the complete file.

        Raises as ``feed``, and RequestValidationError for invalid fields.
        """
        self._form.finish()
        fields = self._read_fields(self._form.fields)
        if self.writer is None:
            raise RequestValidationError(
                [{"type": "missing", "loc": ("body", _FILE), "msg": "Field required", "input": None}]
            )
        if not self.writer.size:
            raise InvalidRequestError("The file is empty", param=_FILE)
        self._purpose = fields.purpose
        if fields.purpose == "fine-tune":
            self._check(self._lines.finish)
        return FileDetails(
            filename=self._part.name,
            purpose=fields.purpose,
            sample_type=self._sample_type(fields.purpose),
            mimetype=_media_type(self._part),
            visibility=fields.visibility,
            num_lines=self._num_lines(fields.purpose),
            seconds=None if fields.expiry is None else fields.expiry * _SECONDS_OF_AN_HOUR,
        )

    def discard(self) -> None:
        """Delete the blob, unless it was published."""
        if self.writer:
            self.writer.discard()

    def begin(self, part: FilePart, fields: dict[str, str]) -> None:
        """Begin the form's file."""
        _check_name(part.name)
        self._part = part
        if "purpose" in fields:
            self._purpose = self._read_fields(fields).purpose
        self.writer = self._create()

    def write(self, data: bytes) -> None:
        """Write a piece of the form's file."""
        assert self.writer
        if self.writer.size + len(data) > self._limit:
            raise HTTPException(
                413, f"The file is larger than {self._limit} bytes, which is the server's max_file_size."
            )
        if self._purpose in ("fine-tune", None):
            self._check(lambda: self._lines.feed(data))
        self._newlines += data.count(b"\n")
        self._ends_with_newline = data.endswith(b"\n")
        self.writer.write(data)

    def _check(self, look: Callable[[], None]) -> None:
        """Check lines. Their error is raised once the file's purpose is known to be fine-tuning."""
        if self._problem is None:
            try:
                look()
            except InvalidLinesError as error:
                self._problem = error
        if self._problem and self._purpose == "fine-tune":
            raise InvalidRequestError(
                f"Files for fine-tuning are JSON Lines, a JSON object on each line. {_described(self._problem)}",
                kind="invalid_file",
                param=_FILE,
            )

    def _sample_type(self, purpose: FilePurpose) -> SampleType:
        match purpose:
            case "fine-tune":
                return "pretrain" if "text" in (self._lines.first or {}) else "instruct"
            case "batch":
                return "batch_request"
            case "ocr":
                return "pretrain"  # the API has no sample type for documents

    def _num_lines(self, purpose: FilePurpose) -> int | None:
        match purpose:
            case "fine-tune":
                return self._lines.count
            case "batch":
                return self._newlines + (not self._ends_with_newline)
            case "ocr":
                return None

    @staticmethod
    def _read_fields(fields: dict[str, str]) -> UploadFileIn:
        try:
            read = UploadFileIn.model_validate(fields)
        except ValidationError as error:
            reasons = [{**reason, "loc": ("body", *reason["loc"])} for reason in error.errors(include_url=False)]
            raise RequestValidationError(reasons) from None
        if read.expiry is not None and not 1 <= read.expiry <= LONGEST_EXPIRY:
            raise InvalidRequestError(f"expiry must be from 1 to {LONGEST_EXPIRY} hours", param="expiry")
        return read


def _described(problem: InvalidLinesError) -> str:
    first, *others = problem.lines
    if not others:
        return f"Line {first.number} of this one is not: {first.reason}"
    rest = [f"The check ended after {MAX_REPORTED} such lines."] if len(problem.lines) == MAX_REPORTED else []
    return "\n".join(["Lines of this one are not:", *map(str, problem.lines), *rest])


def _check_name(name: str) -> None:
    """Check a file name. It is never used on disk, but is handed to other programs."""
    if name in (".", ".."):
        problem = "is a folder"
    elif any(unicodedata.category(character) == "Cc" for character in name):
        problem = "has control characters in it"
    elif not name.strip():
        problem = "is empty"
    elif len(name) > _LONGEST_NAME:
        problem = f"is longer than {_LONGEST_NAME} characters"
    else:
        return
    raise InvalidRequestError(f"The file's name {problem}; send a plain name such as data.jsonl", param=_FILE)


def _media_type(part: FilePart) -> str:
    """Return the client's media type, or else that of the file name's extension."""
    if part.content_type and part.content_type != _UNKNOWN_TYPE and len(part.content_type) <= _LONGEST_NAME:
        return part.content_type
    extension = part.name[part.name.rfind(".") :].lower()
    return _TYPES.get(extension) or mimetypes.guess_type(part.name)[0] or _UNKNOWN_TYPE
