"""The web pages: ``/``, ``/playground``, ``/fine-tuning`` and ``/docs``, with their scripts, styles and libraries."""

import asyncio
from pathlib import Path

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse

from ponant._version import __version__
from ponant.pages.folders import STATIC, VENDOR
from ponant.pages.vendor import missing_files
from ponant.server.page_policy import page_headers
from ponant.settings import Settings

_METHODS = ["GET", "HEAD"]
_PAGES = {
    "/": "index.html",
    "/playground": "playground.html",
    "/fine-tuning": "fine-tuning.html",
    "/docs": "reference.html",
}
_WITHOUT_LIBRARIES = "missing.html"
"""Page in place of all others while libraries are missing."""
_FOLDERS = {"static": STATIC, "vendor": VENDOR}
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
"""Media types by suffix. The machine's table may be wrong, and browsers refuse scripts of another type."""


class PageFacts(BaseModel):
    """Body of ``/pages/server.json``: facts that the pages need before there is a key.

    Attributes:
        version: version of the server.
        keys: True if the API needs a key.
        environments: addresses of further servers by name.
    """

    version: str
    keys: bool
    environments: dict[str, str]


def pages_routes(settings: Settings) -> APIRouter:
    """Return the routes of the pages. They need no key: the pages show data that they get from the API with one."""
    router = APIRouter(include_in_schema=False)
    facts = PageFacts(version=__version__, keys=bool(settings.api_keys), environments=settings.environments)
    addresses = list(settings.environments.values())

    @router.api_route("/pages/server.json", methods=_METHODS)
    async def server() -> Response:
        return JSONResponse(facts.model_dump(), headers=page_headers(addresses))

    @router.api_route("/pages/{folder}/{path:path}", methods=_METHODS)
    async def file(request: Request, folder: str, path: str) -> Response:
        found = await asyncio.to_thread(_find, folder, path)
        return _file_response(request, found, page_headers(addresses))

    for address, name in _PAGES.items():
        _add_page(router, address, name, page_headers(addresses, reference=address == "/docs"))
    return router


def _add_page(router: APIRouter, address: str, name: str, headers: dict[str, str]) -> None:
    @router.api_route(address, methods=_METHODS)
    async def page(request: Request) -> Response:
        missing = await asyncio.to_thread(missing_files)
        found = await asyncio.to_thread(_find, "static", _WITHOUT_LIBRARIES if missing else name)
        return _file_response(request, found, headers)


def _find(folder: str, path: str) -> Path | None:
    """Return a file of the pages; None if there is none by that name."""
    if folder not in _FOLDERS or "\0" in path:
        return None
    root = _FOLDERS[folder].resolve()
    found = (root / path).resolve()
    return found if found.is_relative_to(root) and found.suffix in _TYPES and found.is_file() else None


def _file_response(request: Request, path: Path | None, headers: dict[str, str]) -> Response:
    """Return a file, or status 304 if the browser has it."""
    if path is None:
        raise HTTPException(404)
    response = FileResponse(path, media_type=_TYPES[path.suffix], headers=headers, stat_result=path.stat())
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if response.headers["etag"] in known:
        return Response(status_code=304, headers=headers | {"etag": response.headers["etag"]})
    return response
