"""Files on a server."""

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
    """File to upload.

    Attributes:
        file_name: Name of the file.
        content: Bytes, a file opened in binary mode, or a path. A file is read from its beginning.
        content_type: Media type. By default, it is derived from the name.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    file_name: str
    content: SkipValidation[FileContent]
    content_type: str | None = None


class FileTypedDict(TypedDict):
    """``File`` as a dictionary."""

    file_name: str
    content: FileContent
    content_type: NotRequired[str]


class Files(Resource):
    """Files on a server, such as datasets."""

    def _upload(
        self,
        *,
        file: File | FileTypedDict | os.PathLike[str] | str,
        expiry: OptionalNullable[int] = UNSET,
        visibility: FileVisibility | None = "workspace",
        purpose: FilePurpose | None = None,
        **options: Unpack[OptionParameters],
    ) -> Call[UploadFileOut]:
        """Upload a file.

        The content is read in pieces while it is sent. If it can be read only once, the request is not retried.

        Args:
            file: File with a name and content, or a path.
            expiry: Hours until the server deletes the file. By default, it is kept.
            visibility: Group of users with access. Ponant's server has one workspace, so it has no effect there.
            purpose: Purpose: `fine-tune` (the default; JSON Lines), `batch` or `ocr`.

        Returns:
            The uploaded file's description, with its id.

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
        """List the files, newest first.

        Args:
            page: Number of the page, from 0.
            page_size: Files per page, at most 1000.
            include_total: True to count the files on all pages.
            sample_type: Sample types of the files to list.
            source: Sources of the files to list.
            search: Text in the names of the files to list.
            purpose: Purpose of the files to list.
            mimetypes: Media types of the files to list.

        Returns:
            A page of files.

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
            file_id: Id of the file.

        Returns:
            The file's description.

        Raises:
            SDKError: The file does not exist (404), or the server refused the request or failed.
        """
        return Call("GET", _path(file_id), reader(RetrieveFileOut), Options(**options))

    def _delete(self, *, file_id: str, **options: Unpack[OptionParameters]) -> Call[DeleteFileOut]:
        """Delete a file.

        Args:
            file_id: Id of the file.

        Raises:
            SDKError: The file does not exist (404), or the server refused the request or failed.
        """
        return Call("DELETE", _path(file_id), reader(DeleteFileOut), Options(**options))

    def _download(self, *, file_id: str, **options: Unpack[OptionParameters]) -> Call[bytes]:
        """Download a file's content.

        Args:
            file_id: Id of the file.

        Returns:
            A response of httpx2 whose content has not been read. `read()` returns all of it, `iter_bytes()` iterates
            over pieces (`aread()` and `aiter_bytes()` for the async method). Close the response if it is not read to
            its end.

        Raises:
            SDKError: The file does not exist (404), or the server refused the request or failed.
        """
        return Call("GET", f"{_path(file_id)}/content", _as_bytes, Options(**options))

    def _get_signed_url(
        self,
        *,
        file_id: str,
        expiry: int | None = 24,
        **options: Unpack[OptionParameters],
    ) -> Call[FileSignedURL]:
        """Create a URL of a file's content that works without a key.

        Args:
            file_id: Id of the file.
            expiry: Hours for which the URL is valid, from 1 to 168.

        Returns:
            The URL.

        Raises:
            SDKError: The file does not exist (404), or the server refused the request or failed.
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
        raise TypeError(
            f"the content of a file must be bytes, a file opened in binary mode, or a path, not {content!r}"
        )
    return Form(given, file.file_name, content, file.content_type)
