"""Connections of HTTP/1.1 clients: uvicorn's protocol, without upgrades to other protocols, and with time limits."""

import asyncio
import functools
import sys
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ponant.api.errors import ErrorResponse
from ponant.server.body_writer import set_body_writer
from ponant.server.connection_limits import LARGEST_HEAD, ConnectionLimits, OpenConnections
from ponant.server.disconnection import Disconnection, disconnection_of, set_disconnection
from ponant.server.errors import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_UPGRADE = b"upgrade"
_CONNECT = b"CONNECT"
_MOST_PIPELINED = 16
"""Most requests that wait for the one before. The connection is not read while there are more."""
_LARGEST_STREAMED_HEAD = 4 * LARGEST_HEAD
"""Most bytes of a head that arrives in pieces, which include earlier requests. The application checks whole heads."""
_HEALTH = ("/health", "/ready")


def server_config(app: "ASGIApp", limits: ConnectionLimits, **options: Any) -> uvicorn.Config:
    """Return the configuration of a uvicorn server whose connections are ``ClientConnection``.

    Args:
        app: the application.
        limits: limits of the connections.
        options: further arguments of ``uvicorn.Config``.
    """
    connect = functools.partial(ClientConnection, limits=limits, others=OpenConnections(limits.most))
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", connect),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=cast("int", limits.idle),
        **options,
    )


def is_abandoned(scope: "Scope") -> bool:
    """True if the client disconnected before the whole response was sent."""
    disconnection = disconnection_of(scope)
    return disconnection is not None and disconnection.happened


class ClientConnection(HttpToolsProtocol):
    """A connection that answers requests with an ``Upgrade`` header as ordinary HTTP/1.1 requests.

    Clients such as Java's offer HTTP/2 (``Upgrade: h2c``) with every request, and a server may ignore the offer. The
    base class drops the bodies of such requests. A disconnect ends all requests of the connection, also pipelined ones.

    A client has limited time for the head of a request, and between two pieces of its body. One that reads nothing of
    what is sent is disconnected.
    """

    def __init__(self, *args: Any, limits: ConnectionLimits, others: OpenConnections, **options: Any) -> None:
        super().__init__(*args, **options)
        self.parser: RequestParser = RequestParser(self)  # type: ignore[assignment]
        self._open = deque[RequestResponseCycle]()
        self._limits = limits
        self._others = others
        self._in_head = False
        self._head_size = 0
        """Bytes of a head that has not ended; also of requests that ended in the same piece."""
        self._in_body = False
        self._deadline: float | None = None
        """Time of the event loop at which the client must have sent more; None if nothing is expected."""
        self._timer: asyncio.TimerHandle | None = None
        self._unread = 0
        """Bytes that waited to be sent when the timer of sending was started."""
        self._send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        if not self._others.add(self):
            self.app = _HealthOnly(self.app)
        self._expect_within(self._limits.head)

    def data_received(self, data: bytes) -> None:
        """Parse a piece of the stream of requests."""
        super().data_received(data)
        self._head_size = self._head_size + len(data) if self._in_head else 0
        if self._head_size > _LARGEST_STREAMED_HEAD:
            self.transport.write(_TOO_LARGE_RESPONSE)
            self.evict()
        if self._deadline is None and self.timeout_keep_alive_task is None and self._is_idle():
            self._expect_within(self._limits.head)  # it sent a line break between two requests

    def on_message_begin(self) -> None:
        """Begin the head of a request."""
        super().on_message_begin()
        if not self._in_head:
            self._in_head = True
            self._expect_within(self._limits.head)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        super().on_body(body)
        self._expect_within(self._limits.body)

    def on_message_complete(self) -> None:
        """End the body of a request."""
        self._in_body = False
        self._deadline = None
        super().on_message_complete()
        self._read_on()

    def on_response_complete(self) -> None:
        """End a request, and begin the next one."""
        super().on_response_complete()
        if self._is_idle():
            self._others.wait(self)
        self._expect_reading()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """Write again, as the client has read."""
        super().resume_writing()
        self._unread = sys.maxsize

    def evict(self) -> None:
        """Close the connection."""
        self.transport.close()

    def on_headers_complete(self) -> None:
        """Begin a request."""
        self._in_head, self._in_body = False, True
        self._others.work(self)
        self._expect_within(self._limits.body)
        super().on_headers_complete()
        while self._open and self._open[0].response_complete:
            self._open.popleft()
        self._open.append(self.cycle)
        self._extend(self.cycle)
        self._read_on()

    def _read_on(self) -> None:
        """Read the connection while a request is answered, as a disconnect is noticed only then."""
        if len(self.pipeline) < _MOST_PIPELINED:
            self.flow.resume_reading()

    def _extend(self, cycle: RequestResponseCycle) -> None:
        """Add to the scope of a request what ASGI cannot do at once."""
        scope = cast("dict[str, Any]", cycle.scope)
        set_body_writer(scope, functools.partial(_write_body, cycle))
        set_disconnection(scope, Disconnection())

    def connection_lost(self, exc: Exception | None) -> None:
        """End all requests of the connection."""
        self._others.remove(self)
        for timer in (self._timer, self._send_timer):
            if timer:
                timer.cancel()
        self._abandon()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def _abandon(self) -> None:
        for cycle in self._open:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
                if disconnection := disconnection_of(cast("dict[str, Any]", cycle.scope)):
                    disconnection.report()
        self._open.clear()

    def _is_idle(self) -> bool:
        """True if no request has begun, or all are answered."""
        return not (self._in_head or self._in_body) and all(cycle.response_complete for cycle in self._open)

    def _expect_within(self, seconds: float) -> None:
        """Expect data of the client within a number of seconds. A timer that runs is kept, as that is cheaper."""
        self._deadline = self.loop.time() + seconds
        if self._timer is None:
            self._timer = self.loop.call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._deadline is None or self.transport.is_closing():
            return
        now = self.loop.time()
        if self.flow.read_paused or self._is_held_up():
            self._deadline = now + self._limits.body
        if now < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._on_timer)
            return
        if self._in_head or (self._in_body and not self.cycle.response_started):
            self.transport.write(_TIMEOUT_RESPONSE)
        self._abandon()
        self.transport.close()

    def _expect_reading(self) -> None:
        """Expect the client to read some of what waits to be sent, within the time limit."""
        if self._send_timer:
            self._unread = sys.maxsize  # more may be waiting since the timer was started
            return
        self._unread = self.transport.get_write_buffer_size()
        if self._unread:
            self._send_timer = self.loop.call_later(self._limits.send, self._on_send_timer)

    def _on_send_timer(self) -> None:
        self._send_timer = None
        nothing_added = self.flow.write_paused or all(cycle.response_complete for cycle in self._open)
        if nothing_added and self.transport.get_write_buffer_size() >= self._unread:
            self.transport.abort()
        else:
            self._expect_reading()

    def _is_held_up(self) -> bool:
        """True if a response has begun but not ended, or the client may not send its body yet."""
        return any(
            not cycle.response_complete and (cycle.response_started or cycle.waiting_for_100_continue)
            for cycle in self._open
        )


def _write_body(cycle: RequestResponseCycle, piece: bytes) -> bool:
    """Write a piece of a streamed body, as ``RequestResponseCycle.send`` would; see ``WriteBody``."""
    if cycle.flow.write_paused or cycle.disconnected or cycle.response_complete or not cycle.chunked_encoding:
        return False
    cycle.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    return True


def _written(status: HTTPStatus, body: ErrorResponse) -> bytes:
    """Return the bytes of a response after which the connection is closed."""
    response = error_response(status, body, {"connection": "close"})
    headers = [b"%b: %b" % header for header in response.raw_headers]
    return b"\r\n".join([f"HTTP/1.1 {status.value} {status.phrase}".encode(), *headers, b"", bytes(response.body)])


_TIMEOUT_RESPONSE = _written(
    HTTPStatus.REQUEST_TIMEOUT,
    ErrorResponse(message="The request did not arrive in time.", type="timeout", code="3704"),
)
_TOO_LARGE_RESPONSE = _written(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    ErrorResponse(
        message=f"The address and the headers may have {LARGEST_HEAD} bytes together.", type="request_too_large"
    ),
)


class _HealthOnly:
    """The application of a connection beyond the limit: it reports the server's health and refuses all else."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Handle a request."""
        if scope["path"] in _HEALTH:
            await self._app(scope, receive, send)
            return
        body = ErrorResponse(
            message="The server has too many connections. Try again later.", type="unavailable", code="3700"
        )
        await error_response(503, body, {"connection": "close"})(scope, receive, send)


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
