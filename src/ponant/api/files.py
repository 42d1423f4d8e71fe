"""``/v1/files``: files of users."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ponant.api.base import ResponseModel

FilePurpose = Literal["fine-tune", "batch", "ocr"]
SampleType = Literal["pretrain", "instruct", "batch_request", "batch_result", "batch_error"]
Source = Literal["upload", "repository", "mistral"]
FileVisibility = Literal["workspace", "user"]

LONGEST_EXPIRY = 100 * 365 * 24
"""Longest time until a file is deleted, in hours."""

FileId = Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class UploadFileIn(BaseModel):
    """Fields of an upload's form, except the file. As in any form, all values are text."""

    model_config = ConfigDict(extra="forbid")

    # Declared here and checked with the form, whose error has status 400.
    expiry: Annotated[int, Field(json_schema_extra={"minimum": 1, "maximum": LONGEST_EXPIRY})] | None = None
    visibility: FileVisibility = "workspace"
    purpose: FilePurpose = "fine-tune"


class FileSchema(ResponseModel):
    """A file.

    Attributes:
        size_bytes: size in bytes; the field ``bytes``.
        signature: SHA-256 digest of the content.
        expires_at: time of its deletion, in seconds since the epoch.
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
    """An uploaded file."""


class RetrieveFileOut(FileSchema):
    """A file, retrieved by its id."""

    deleted: bool


class ListFilesOut(ResponseModel):
    """A page of files."""

    data: list[FileSchema]
    object: str
    total: int | None = None


class FileSignedURL(ResponseModel):
    """A URL that gives access to a file's content for a limited time, without a key."""

    url: str


class DeleteFileOut(ResponseModel):
    """A deleted file."""

    id: FileId
    object: str
    deleted: bool
