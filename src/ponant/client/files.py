"""``files``: files that the server keeps."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, NotRequired, TypeAlias, TypedDict
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, SkipValidation
from typing_extensions import Unpack

from ponant.api.files import (
    DeleteFileOut,
    FilePurpose,
    FileSignedURL,
    FileVisibility,
    ListFilesOut,
    RetrieveFileOut,
    SampleType,
    Source,
    UploadFileOut,
)
from ponant.client.call import Call, Form, OptionParameters, Options, fields
from ponant.client.lenient import reader
from ponant.client.resource import Resource, answered, answered_async, downloaded, downloaded_async
from ponant.client.unset import UNSET, OptionalNullable

FileContent: TypeAlias = bytes | IO[bytes] | os.PathLike[str]

_PATH = "/v1/files"


class File(BaseModel):
    """A file to be uploaded.

    Attributes:
        file_name: what it is to be called.
        content: its bytes, a file opened for reading bytes, or a path. A file is read from its beginning.
        content_type: its media type. By default as its name says.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    file_name: str
    content: SkipValidation[FileContent]
    content_type: str | None = None


class FileTypedDict(TypedDict):
    """As ``File``."""

    file_name: str
    content: FileContent
    content_type: NotRequired[str]


class Files(Resource):
    """Files that a server keeps, such as datasets."""

    def _upload(
        self,
        *,
        file: File | FileTypedDict | os.PathLike[str] | str,
        expiry: OptionalNullable[int] = UNSET,
        visibility: FileVisibility | None = "workspace",
        purpose: FilePurpose | None = None,
        **options: Unpack[OptionParameters],
    ) -> Call[UploadFileOut]:
        """Upload a file. It is read piece by piece while it is sent.

        Content that can be read only once is sent only once, whatever `retries` says.

        Args:
            file: The file: its name and content, or its path.
            expiry: Hours for which it is kept; for ever, if that is left out.
            visibility: Whose file it is. A server of Ponant's has one workspace, so that it makes no difference.
            purpose: What it is for: `fine-tune` (the default; JSON Lines), `batch` or `ocr`.

        Raises:
            OSError: The path cannot be read.
            HTTPValidationError: The server refused a field (422).
            SDKError: The server refused the file (400, 413), has no room for it (507), or failed.
        """
        optional = {"expiry": expiry, "visibility": visibility, "purpose": purpose}
        given = {name: str(value) for name, value in fields(nullable={}, optional=optional).items()}
        form = _form(file, given)
        if not form.is_repeatable:
            options["retries"] = None
        return Call("POST", _PATH, reader(UploadFileOut), Options(**options), form=form)

    def _list(
        self,
        *,
        page: int | None = 0,
        page_size: int | None = 100,
        include_total: bool | None = True,
        sample_type: OptionalNullable[Iterable[SampleType]] = UNSET,
        source: OptionalNullable[Iterable[Source]] = UNSET,
        search: OptionalNullable[str] = UNSET,
        purpose: OptionalNullable[FilePurpose] = UNSET,
        mimetypes: OptionalNullable[Iterable[str]] = UNSET,
        **options: Unpack[OptionParameters],
    ) -> Call[ListFilesOut]:
        """List the files, the newest first.

        Args:
            page: Which page, from 0 on.
            page_size: Files on a page, up to 1000.
            include_total: Whether to tell how many files there are on all pages.
            sample_type: Only files with samples of one of these kinds.
            source: Only files from one of these.
            search: Only files with this in their names.
            purpose: Only files for this.
            mimetypes: Only files of one of these media types.

        Raises:
            HTTPValidationError: The server refused a filter (422).
            SDKError: The server refused the request or failed.
        """
        query = fields(
            nullable={},
            optional={
                "page": page,
                "page_size": page_size,
                "include_total": include_total,
                "sample_type": sample_type,
                "source": source,
                "search": search,
                "purpose": purpose,
                "mimetypes": mimetypes,
            },
        )
        return Call("GET", _PATH, reader(ListFilesOut), Options(**options), query=query)

    def _retrieve(self, *, file_id: str, **options: Unpack[OptionParameters]) -> Call[RetrieveFileOut]:
        """Describe a file.

        Args:
            file_id: Its id.

        Raises:
            SDKError: There is no such file (404), or the server refused the request or failed.
        """
        return Call("GET", _path(file_id), reader(RetrieveFileOut), Options(**options))

    def _delete(self, *, file_id: str, **options: Unpack[OptionParameters]) -> Call[DeleteFileOut]:
        """Delete a file.

        Args:
            file_id: Its id.

        Raises:
            SDKError: There is no such file (404), or the server refused the request or failed.
        """
        return Call("DELETE", _path(file_id), reader(DeleteFileOut), Options(**options))

    def _download(self, *, file_id: str, **options: Unpack[OptionParameters]) -> Call[bytes]:
        """Download a file's content.

        The result is a response of httpx2 whose content has not been read: `read()` gives all of it, `iter_bytes()` one
        piece after the other (`aread()` and `aiter_bytes()` of the async method's). Close it if you do not read it to
        its end.

        Args:
            file_id: Its id.

        Raises:
            SDKError: There is no such file (404), or the server refused the request or failed.
        """
        return Call("GET", f"{_path(file_id)}/content", _as_bytes, Options(**options))

    def _get_signed_url(
        self,
        *,
        file_id: str,
        expiry: int | None = 24,
        **options: Unpack[OptionParameters],
    ) -> Call[FileSignedURL]:
        """Make an address that gives a file's content to whoever has it, without a key.

        Args:
            file_id: The file's id.
            expiry: Hours for which it works, from 1 to 168.

        Raises:
            SDKError: There is no such file (404), or the server refused the request or failed.
        """
        query = fields(nullable={}, optional={"expiry": expiry})
        return Call("GET", f"{_path(file_id)}/url", reader(FileSignedURL), Options(**options), query=query)

    upload = answered(_upload)
    upload_async = answered_async(_upload)
    list = answered(_list)
    list_async = answered_async(_list)
    retrieve = answered(_retrieve)
    retrieve_async = answered_async(_retrieve)
    delete = answered(_delete)
    delete_async = answered_async(_delete)
    download = downloaded(_download)
    download_async = downloaded_async(_download)
    get_signed_url = answered(_get_signed_url)
    get_signed_url_async = answered_async(_get_signed_url)


def _path(file_id: str) -> str:
    return f"{_PATH}/{quote(file_id, safe='')}"


def _as_bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


def _form(file: File | FileTypedDict | os.PathLike[str] | str, given: Mapping[str, str]) -> Form:
    if isinstance(file, str | os.PathLike):
        file = File(file_name=Path(file).name, content=Path(file))
    elif not isinstance(file, File):
        file = File(**file)
    content = file.content
    if isinstance(content, os.PathLike):
        return Form(given, file.file_name, Path(content).open("rb"), file.content_type, is_own=True)
    if not isinstance(content, bytes) and not hasattr(content, "read"):
        raise TypeError(f"the content of a file is bytes, a file opened for reading bytes, or a path, not {content!r}")
    return Form(given, file.file_name, content, file.content_type)
