"""``/v1/files``."""

import os
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse, Response
from pydantic import StringConstraints
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from ponant.api.errors import ErrorResponse
from ponant.api.files import (
    DeleteFileOut,
    FilePurpose,
    FileSchema,
    FileSignedURL,
    ListFilesOut,
    RetrieveFileOut,
    SampleType,
    Source,
    UploadFileIn,
    UploadFileOut,
)
from ponant.errors import InvalidRequestError
from ponant.server.callers import caller_of
from ponant.server.errors import error_response
from ponant.server.pagination import After, Limit, Order, PageNumber, PageSize, page_of
from ponant.server.upload import Upload
from ponant.storage.descriptions import FileFilter
from ponant.storage.errors import UnknownFileError
from ponant.storage.lazy import LazyStorage
from ponant.storage.threads import in_thread

if TYPE_CHECKING:
    from ponant.storage.tables import FileRow

FileIdPath = Annotated[str, Path(json_schema_extra={"format": "uuid"})]

_PIECE = 2**18
"""Bytes of an upload that are collected before each call of a thread: a call costs more than a copy."""
_LONGEST_EXPIRY = 168
"""Longest validity of a signed URL, in hours."""
_SECONDS_OF_AN_HOUR = 3600
_Expiry = Annotated[int, Query(json_schema_extra={"minimum": 1, "maximum": _LONGEST_EXPIRY})]
MediaType = Annotated[str, StringConstraints(pattern="^[^/]+/[^/]+$")]
_SIGNED = "/signed/files/{file_id}"

_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


def files_routes(storage: LazyStorage, *, max_file_size: int) -> APIRouter:
    """Return the routes of the files in ``storage``. Uploads of more than ``max_file_size`` bytes are refused."""
    router = APIRouter(tags=["files"])

    @router.post(
        "/v1/files", summary="Upload File", response_model_exclude_unset=True, openapi_extra={"requestBody": _form()}
    )
    async def upload_file(request: Request) -> UploadFileOut:
        files = (await storage.open()).files
        upload = Upload(request.headers.get("content-type", ""), files.begin, max_file_size)
        try:
            async for piece in _gathered(request.stream()):
                await in_thread(upload.feed, piece)
            details = await in_thread(upload.finish)
            assert upload.writer
            return UploadFileOut(**_fields(await files.add(upload.writer, details, caller=caller_of(request.scope))))
        finally:
            await in_thread(upload.discard)

    @router.get("/v1/files", summary="List Files", response_model_exclude_unset=True)
    async def list_files(  # noqa: PLR0917 - FastAPI gives them by name
        request: Request,
        page: PageNumber = 0,
        page_size: PageSize = 100,
        include_total: bool = True,
        sample_type: Annotated[list[SampleType] | None, Query()] = None,
        source: Annotated[list[Source] | None, Query()] = None,
        search: str | None = None,
        purpose: FilePurpose | None = None,
        mimetypes: Annotated[list[MediaType] | None, Query()] = None,
        after: After = None,
        limit: Limit = None,
        order: Order = "desc",
    ) -> ListFilesOut:
        asked = page_of(page, page_size, after=after, limit=limit, order=order)
        wanted = FileFilter(
            sample_types=sample_type, sources=source, mimetypes=mimetypes, purpose=purpose, search=search
        )
        files = (await storage.open()).files
        found, total = await files.page(wanted, asked, caller=caller_of(request.scope))
        data = [FileSchema(**_fields(file)) for file in found]
        if include_total:
            return ListFilesOut(data=data, object="list", total=total)
        return ListFilesOut(data=data, object="list")

    @router.get("/v1/files/{file_id}", summary="Retrieve File", response_model_exclude_unset=True)
    async def retrieve_file(request: Request, file_id: FileIdPath) -> RetrieveFileOut:
        return RetrieveFileOut(**_fields(await find(request, file_id)), deleted=False)

    @router.delete("/v1/files/{file_id}", summary="Delete File")
    async def delete_file(request: Request, file_id: FileIdPath) -> DeleteFileOut:
        await (await storage.open()).files.delete(file_id, caller=caller_of(request.scope))
        return DeleteFileOut(id=file_id, object="file", deleted=True)

    @router.get("/v1/files/{file_id}/content", summary="Download File", response_class=_Content, responses=_CONTENT)
    async def download_file(request: Request, file_id: FileIdPath) -> FileResponse:
        return await content(request, file_id)

    @router.get("/v1/files/{file_id}/url", summary="Get Signed Url")
    async def get_signed_url(request: Request, file_id: FileIdPath, expiry: _Expiry = 24) -> FileSignedURL:
        if not 1 <= expiry <= _LONGEST_EXPIRY:
            raise InvalidRequestError(f"expiry must be from 1 to {_LONGEST_EXPIRY} hours", param="expiry")
        file = await find(request, file_id)
        expires = int(time.time()) + expiry * _SECONDS_OF_AN_HOUR
        signature = (await storage.open()).signer.sign(_signed_text(file.id, expires))
        address = request.url.replace(path=_SIGNED.format(file_id=file.id), query=None, fragment=None)
        return FileSignedURL(url=str(address.include_query_params(expires=expires, signature=signature)))

    # The path is outside of /v1, so that it needs no key.
    @router.get(_SIGNED, include_in_schema=False, response_class=_Content)
    async def download_signed(request: Request, file_id: FileIdPath, expires: int = 0, signature: str = "") -> Response:
        if not (await storage.open()).signer.verifies(_signed_text(file_id, expires), signature):
            body = ErrorResponse(message="The signature of this URL is invalid.", type="invalid_signature")
            return error_response(403, body)
        if expires <= time.time():
            body = ErrorResponse(message="This URL has expired. Request a new one.", type="expired_signature")
            return error_response(403, body)
        return await content(request, file_id)

    async def find(request: Request, file_id: str) -> "FileRow":
        return await (await storage.open()).files.find(file_id, caller=caller_of(request.scope))

    async def content(request: Request, file_id: str) -> FileResponse:
        files = (await storage.open()).files
        file = await files.find(file_id, caller=caller_of(request.scope))
        path = await in_thread(files.content, file)
        headers = {"etag": f'"{file.sha256}"', "x-content-type-options": "nosniff"}
        return _FileContent(path, file, headers)

    return router


class _Content(Response):
    """Content of a file. Its own media type is not sent, so that no browser shows it as a page."""

    media_type = "application/octet-stream"


class _FileContent(FileResponse):
    """Response with the content of a file, or a part of it, whose errors have the API's format."""

    def __init__(self, path: os.PathLike[str], file: "FileRow", headers: Mapping[str, str]) -> None:
        """Create the response with the content at ``path``."""
        super().__init__(path, media_type=_Content.media_type, filename=file.filename, headers=headers)
        self._file_id = file.id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. Raises UnknownFileError if the file was deleted before it could be opened."""
        start: Message | None = None
        refusal: Response | None = None

        async def send_opened(message: Message) -> None:
            """Send the head with the first part of the content, when the file is open."""
            nonlocal start, refusal
            if message["type"] == "http.response.start":
                start = message
                if message["status"] >= 400:
                    refusal = _range_refusal(message["status"], Headers(raw=message["headers"]).get("content-range"))
            elif refusal is None:
                if start:
                    await send(start)
                    start = None
                await send(message)

        try:
            self.stat_result = await in_thread(os.stat, self.path)
            self.set_stat_headers(self.stat_result)
            await super().__call__(scope, receive, send_opened)
        except FileNotFoundError as error:
            raise UnknownFileError(self._file_id) from error
        if refusal:
            await refusal(scope, receive, send)


def _range_refusal(status: int, content_range: str | None) -> Response:
    """Return the response to an invalid Range header. ``content_range`` names the size of the file."""
    if content_range is None:
        message = "The header Range is malformed: send bytes=FIRST-LAST, with positions from 0."
        return error_response(status, ErrorResponse(message=message, type="invalid_range"))
    message = f"The range begins after the end of the file, which has {content_range.rpartition('/')[2]} bytes."
    return error_response(
        status, ErrorResponse(message=message, type="invalid_range"), {"content-range": content_range}
    )


async def _gathered(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the same bytes in larger pieces."""
    pieces: list[bytes] = []
    size = 0
    async for piece in stream:
        pieces.append(piece)
        size += len(piece)
        if size >= _PIECE:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


def _signed_text(file_id: str, expires: int) -> str:
    return f"file {file_id} until {expires}"


def _fields(file: "FileRow") -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "size_bytes": file.size,
        "created_at": file.created_at,
        "filename": file.filename,
        "purpose": file.purpose,
        "sample_type": file.sample_type,
        "num_lines": file.num_lines,
        "mimetype": file.mimetype,
        "source": file.source,
        "signature": file.sha256,
        "expires_at": file.expires_at,
        "visibility": file.visibility,
    }


def _form() -> dict[str, Any]:
    """Return the OpenAPI description of an upload's body."""
    schema = UploadFileIn.model_json_schema()
    del schema["additionalProperties"]
    expiry = schema["properties"]["expiry"]
    expiry |= next(kind for kind in expiry.pop("anyOf") if kind["type"] != "null")  # a form has no null
    del expiry["default"]
    schema["properties"]["file"] = {"type": "string", "format": "binary"}
    schema["required"] = ["file"]
    return {"content": {"multipart/form-data": {"schema": schema}}, "required": True}
