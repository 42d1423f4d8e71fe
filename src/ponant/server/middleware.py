"""Middleware of all requests: ids, checks of hosts and of web pages, API keys, and size limits of bodies."""

import hmac
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ponant.api.errors import ErrorResponse
from ponant.callers import Caller, caller_with
from ponant.server.callers import set_caller
from ponant.server.connection import is_abandoned
from ponant.server.connection_limits import LARGEST_HEAD, MOST_PARAMETERS
from ponant.server.disconnect import GONE
from ponant.server.errors import ENCODED, error_response
from ponant.server.header_text import header, headers, shown
from ponant.server.json_text import COMPRESSION_REFUSED
from ponant.server.recent_requests import RecentRequests
from ponant.server.request_record import RequestRecord, set_record

logger = logging.getLogger("ponant.server")

_READING = ("GET", "HEAD", "OPTIONS")
"""Methods of requests that change nothing."""


class RequestLog:
    """Logs and records each request, and gives it an id for the log and for ``x-request-id``."""

    def __init__(self, app: ASGIApp, recent: RecentRequests) -> None:
        """Add the requests to ``recent`` when they end."""
        self._app = app
        self._recent = recent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]  # dialects change the path in the scope
        request_id = scope["request_id"] = uuid.uuid4().hex
        record = RequestRecord(request_id, scope["method"])
        set_record(scope, record)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            status = GONE if is_abandoned(scope) else status
            record.status = record.status or status
            record.seconds = time.monotonic() - record.began
            self._recent.add(record, scope)
            logger.info(
                "request",
                extra={
                    "method": scope["method"],
                    "path": path,
                    "status": status or "none",
                    "seconds": round(record.seconds, 3),
                    "request_id": request_id,
                },
            )


class LoopbackHosts:
    """Refuses requests whose Host header names another machine, as in DNS rebinding attacks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http" and not _names_loopback(header(scope, b"host")):
            body = ErrorResponse(
                message="This server answers requests for localhost only. Start it with a key to serve other hosts.",
                type="invalid_host",
            )
            await error_response(403, body)(scope, receive, send)
            return
        await self._app(scope, receive, send)


@lru_cache(maxsize=64)
def _names_loopback(host: str) -> bool:
    """Return True for names and addresses that no other machine can have, so that no foreign page has them either."""
    name = _name_and_port(host)[0].lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    own = (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    return own.is_loopback or own.is_unspecified


class OwnPages:
    """Refuses changing requests of foreign web pages, which browsers send without asking the server.

    Requests of the same host, of origins in ``allowed``, and of programs that are not web pages pass.
    """

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http" and scope["method"] not in _READING and self._is_foreign(scope):
            body = ErrorResponse(
                message="This server accepts no requests from web pages of other origins. To allow them, name the "
                "page's origin in the setting cors_origins.",
                type="invalid_origin",
            )
            await error_response(403, body)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_foreign(self, scope: Scope) -> bool:
        site = header(scope, b"sec-fetch-site").lower()
        origins = [origin.lower() for origin in headers(scope, b"origin")]
        if not origins:
            return site == "cross-site"
        return any(
            not self._is_allowed(origin) and _is_foreign_page(origin, header(scope, b"host"), site)
            for origin in origins
        )

    def _is_allowed(self, origin: str) -> bool:
        return any(allowed in ("*", origin) for allowed in self._allowed)


def _is_foreign_page(origin: str, host: str, site: str) -> bool:
    """True for the origin of a web page of another host or port.

    Schemes are not compared, as a proxy may end TLS. A browser that calls the request ``same-origin`` sent it to a
    proxy that changed the port of its Host header.
    """
    scheme, _, address = origin.partition("://")
    if origin != "null" and scheme not in ("http", "https"):
        return False
    if origin == "null" or site == "cross-site":
        return True
    name, port = _name_and_port(address)
    own_name, own_port = _name_and_port(host.lower())
    return name != own_name or (port != own_port and site != "same-origin")


def _name_and_port(address: str) -> tuple[str, str]:
    """Return the name and the port of ``name:port``; the port is empty for the default ones."""
    name, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        return address, ""
    return name, "" if port in ("80", "443") else port


class Keys:
    """Refuses requests to the API without a valid key, and sets the caller of the others."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._callers = {sent: caller_with(key) for key in keys for sent in _encodings(key)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            caller = self._caller(scope)
            if caller is None:
                response = JSONResponse({"detail": "Unauthorized"}, 401, {"www-authenticate": "Bearer"})
                await response(scope, receive, send)
                return
            set_caller(scope, caller)
        await self._app(scope, receive, send)

    def _caller(self, scope: Scope) -> Caller | None:
        """Return the caller of the request's key; None without a valid key."""
        scheme, _, given = header(scope, b"authorization").partition(" ")
        sent = given.strip(" \t").encode("latin-1")  # the bytes of the header
        # All keys are compared, so that the time does not reveal which one matches.
        matches = [caller for key, caller in self._callers.items() if hmac.compare_digest(sent, key)]
        return matches[0] if matches and scheme.lower() == "bearer" else None


def _encodings(key: str) -> set[bytes]:
    """Return a key as clients send it: in UTF-8, or in Latin-1 if it can be encoded so."""
    return {key.encode(), key.encode("latin-1", "ignore") if max(key) <= "\xff" else key.encode()}


class HeadLimit:
    """Refuses requests whose address and headers are large, or whose query has many parameters."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        refusal = _head_refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)


def _head_refusal(scope: Scope) -> ASGIApp | None:
    query: bytes = scope["query_string"]
    size = len(scope["path"]) + len(query) + sum(len(name) + len(value) for name, value in scope["headers"])
    if size > LARGEST_HEAD:
        message = f"The address and the headers have {size} bytes, and may have {LARGEST_HEAD} together."
        return error_response(431, ErrorResponse(message=message, type="request_too_large"))
    if (count := query.count(b"&") + 1) > MOST_PARAMETERS:
        message = f"The query has {count} parameters, and may have {MOST_PARAMETERS}."
        return error_response(400, ErrorResponse(message=message, type="invalid_request_error"))
    return None


class PlainBodies:
    """Refuses bodies that are compressed by their ``content-encoding`` header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http":
            encoding = header(scope, b"content-encoding").strip().lower()
            if encoding not in ("", "identity"):
                message = COMPRESSION_REFUSED.format(shown(encoding))
                body = ErrorResponse(message=message, type=ENCODED)
                await error_response(415, body, {"accept-encoding": "identity"})(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses bodies larger than ``limit`` bytes, by their announced and by their real length.

    ``others`` has the limits of single routes, by method and path.
    """

    def __init__(self, app: ASGIApp, limit: int, others: Mapping[tuple[str, str], int]) -> None:
        self._app = app
        self._limit = limit
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._others.get((scope["method"], scope["path"]), self._limit)
        message = f"The request body is larger than {limit} bytes."
        announced = header(scope, b"content-length")
        if announced.isdecimal() and int(announced) > limit:
            await error_response(413, ErrorResponse(message=message, type="request_too_large"))(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            event = await receive()
            if event["type"] == "http.request":
                received += len(event.get("body", b""))
                if received > limit:
                    raise HTTPException(413, message)
            return event

        await self._app(scope, receive_counted, send)
