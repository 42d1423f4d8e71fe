"""Requests as they arrive at the server."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LONGEST_WAIT = 20
"""Longest time in seconds that a stream is held before its end."""
_END = b'"finish_reason":"'


@dataclass
class Arrival:
    """A request and its response.

    Attributes:
        held: True if the end of the stream was held until the program had printed.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    status: int = 0
    answer: bytes = b""
    held: bool = False


@dataclass
class Tape:
    """The requests of the running program.

    Attributes:
        has_printed: returns True if the program has printed.
    """

    arrivals: list[Arrival] = field(default_factory=list)
    has_printed: Callable[[], bool] = lambda: False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, has_printed: Callable[[], bool]) -> None:
        """Forget the requests of the program before."""
        with self.lock:
            self.arrivals = []
            self.has_printed = has_printed


class Recorder:
    """Middleware that records requests, and holds the end of each stream until the program has printed a part."""

    def __init__(self, app: ASGIApp, tape: Tape) -> None:
        self._app = app
        self._tape = tape

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        arrival = Arrival(scope["method"], scope["raw_path"].decode(), scope["query_string"].decode(), headers)
        with self._tape.lock:
            self._tape.arrivals.append(arrival)

        async def receive_recorded() -> Message:
            message = await receive()
            arrival.body += message.get("body", b"")
            return message

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                arrival.status = message["status"]
            body = message.get("body", b"")
            if arrival.answer.startswith(b"data: ") and _END in body:
                arrival.held = await self._printed()
            arrival.answer += body
            await send(message)

        await self._app(scope, receive_recorded, send_recorded)

    async def _printed(self) -> bool:
        for _ in range(_LONGEST_WAIT * 100):
            if self._tape.has_printed():
                return True
            await asyncio.sleep(0.01)
        return False
