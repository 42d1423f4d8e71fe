"""``/v1/files``: files that users keep on the server."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ponant.api.base import ResponseModel

FilePurpose = Literal["fine-tune", "batch", "ocr"]
SampleType = Literal["pretrain", "instruct", "batch_request", "batch_result", "batch_error"]
Source = Literal["upload", "repository", "mistral"]
FileVisibility = Literal["workspace", "user"]

FileId = Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class UploadFileIn(BaseModel):
    """The fields of an upload's form beside the file; as in any form, all values are text."""

    model_config = ConfigDict(extra="forbid")

    expiry: int | None = None
    visibility: FileVisibility = "workspace"
    purpose: FilePurpose = "fine-tune"


class FileSchema(ResponseModel):
    """A file.

    Attributes:
        size_bytes: its size; the field ``bytes``.
        signature: the SHA-256 of its content.
        expires_at: seconds since the epoch from which on it is gone.
    """

    model_config = ConfigDict(populate_by_name=True)

    id: FileId
    object: str
    size_bytes: Annotated[int, Field(alias="bytes")]
    created_at: int
    filename: str
    purpose: FilePurpose
    sample_type: SampleType
    num_lines: int | None = None
    mimetype: str | None = None
    source: Source
    signature: str | None = None
    expires_at: int | None = None
    visibility: FileVisibility | None = None


class UploadFileOut(FileSchema):
    """A file that was uploaded."""


class RetrieveFileOut(FileSchema):
    """A file, asked for by its id."""

    deleted: bool


class ListFilesOut(ResponseModel):
    """A page of the files."""

    data: list[FileSchema]
    object: str
    total: int | None = None


class FileSignedURL(ResponseModel):
    """An address that gives a file's content to whoever has it, for a time."""

    url: str


class DeleteFileOut(ResponseModel):
    """A file that was deleted."""

    id: FileId
    object: str
    deleted: bool
