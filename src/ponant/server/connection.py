"""Connections of HTTP/1.1 clients: uvicorn's protocol, without upgrades to other protocols."""

from collections import deque
from typing import TYPE_CHECKING, Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Scope

_ABANDONED = "ponant.abandoned"
_UPGRADE = b"upgrade"
_CONNECT = b"CONNECT"
_MOST_PIPELINED = 16
"""Most requests that wait for the one before. The connection is not read while there are more."""


def server_config(app: "ASGIApp", **options: Any) -> uvicorn.Config:
    """Return the configuration of a uvicorn server whose connections are ``ClientConnection``.

    Args:
        app: the application.
        options: further arguments of ``uvicorn.Config``.
    """
    return uvicorn.Config(
        app, http=ClientConnection, ws="none", log_config=None, access_log=False, server_header=False, **options
    )


def is_abandoned(scope: "Scope") -> bool:
    """True if the client disconnected before the whole response was sent."""
    return bool(scope.get(_ABANDONED))


class ClientConnection(HttpToolsProtocol):
    """A connection that answers requests with an ``Upgrade`` header as ordinary HTTP/1.1 requests.

    Clients such as Java's offer HTTP/2 (``Upgrade: h2c``) with every request, and a server may ignore the offer. The
    base class drops the bodies of such requests. A disconnect ends all requests of the connection, also pipelined ones.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.parser: RequestParser = RequestParser(self)  # type: ignore[assignment]
        self._open = deque[RequestResponseCycle]()

    def on_headers_complete(self) -> None:
        """Begin a request."""
        super().on_headers_complete()
        while self._open and self._open[0].response_complete:
            self._open.popleft()
        self._open.append(self.cycle)
        if len(self.pipeline) < _MOST_PIPELINED:
            self.flow.resume_reading()  # a disconnect is noticed only while the connection is read

    def connection_lost(self, exc: Exception | None) -> None:
        """End all requests of the connection."""
        for cycle in self._open:
            if not cycle.response_complete:
                cast("dict[str, Any]", cycle.scope)[_ABANDONED] = True
                cycle.disconnected = True
                cycle.message_event.set()
        self._open.clear()
        super().connection_lost(exc)


class RequestParser:
    """Parser of the requests of a connection, which ignores upgrade offers.

    llhttp takes everything after the head of such a request for another protocol. The head is then parsed again without
    its ``Upgrade`` header, by a new parser that also reads the body and the next requests.
    """

    def __init__(self, connection: HttpToolsProtocol) -> None:
        self._connection = connection
        self.on_url = connection.on_url
        self.on_header = connection.on_header
        self.on_body = connection.on_body
        self.on_message_begin = connection.on_message_begin
        self._parser = self._new_parser()

    def feed_data(self, data: bytes) -> None:
        """Parse a piece of the stream of requests. Raises httptools.HttpParserError."""
        rest = memoryview(data)
        while rest:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as offer:
                rest = rest[offer.args[0] :]
                self._parse_head_again()
            else:
                return

    def on_headers_complete(self) -> None:
        """Begin a request, unless its head is parsed again."""
        if not self._parser.should_upgrade():
            self._connection.on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request, unless its head is parsed again."""
        if not self._parser.should_upgrade():
            self._connection.on_message_complete()

    def get_http_version(self) -> str:
        """Return the version of the current request, such as 1.1."""
        return self._parser.get_http_version()

    def get_method(self) -> bytes:
        """Return the method of the current request."""
        return self._parser.get_method()

    def should_keep_alive(self) -> bool:
        """True if the connection stays open after the current request."""
        return self._parser.should_keep_alive()

    def should_upgrade(self) -> bool:
        """Return False, as there are no upgrades."""
        return False

    def _parse_head_again(self) -> None:
        """Parse the head of the current request with a new parser, without its offer."""
        if self._parser.get_method() == _CONNECT:
            raise httptools.HttpParserError("this server is not a proxy")
        head = self._head_without_offer()
        self._parser = self._new_parser()
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            raise httptools.HttpParserError("the head has another offer") from None

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # Answer a request with "connection: close" even if more data follow it.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _head_without_offer(self) -> bytes:
        line = b"%b %b HTTP/%b" % (
            self._parser.get_method(),
            self._connection.url,
            self._parser.get_http_version().encode(),
        )
        headers = [b"%b: %b" % header for header in self._connection.headers if header[0] != _UPGRADE]
        return b"\r\n".join([line, *headers, b"", b""])
