"""``/openapi.json`` and ``/nim/openapi.json``: descriptions of the API for programs, and for the page ``/docs``."""

import re

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ponant.server.document.documents import Documents

_METHODS = ["GET", "HEAD"]
_ADDRESS = re.compile(r"https?://[\w.\-:\[\]]{1,300}", re.ASCII)
"""Addresses that a document may repeat, of which its samples have a hundred."""


def documents_routes(documents: Documents) -> APIRouter:
    """Return the routes of the documents, which need no key. They are functions without ``async``, for a thread."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/openapi.json", methods=_METHODS)
    def mistral(request: Request) -> Response:
        return _response(documents.document("mistral", _address(request)))

    @router.api_route("/nim/openapi.json", methods=_METHODS)
    def nim(request: Request) -> Response:
        return _response(documents.document("nim", _address(request)))

    return router


def _address(request: Request) -> str:
    """Return the scheme, host and port by which a client calls; with a strange Host header, those of the socket."""
    named = str(request.url.replace(path="", query=None, fragment=None))
    if _ADDRESS.fullmatch(named):
        return named
    host, port = request.scope.get("server") or ("localhost", None)
    name = f"[{host}]" if ":" in host else host
    return f"{request.url.scheme}://{name}:{port}" if port else f"{request.url.scheme}://{name}"


def _response(document: bytes) -> Response:
    return Response(document, media_type="application/json")
