"""Requests to an ASGI application in this process, with responses in pieces."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, TypeAlias

from starlette.types import ASGIApp, Message

Head: TypeAlias = tuple[int, list[tuple[bytes, bytes]]]
"""Status and headers of a response."""

_MOST_WAITING = 64
"""Maximum number of unread pieces of a response, at which the application waits."""


class Exchange:
    """Request and its response. All methods run on the application's event loop."""

    def __init__(self, app: ASGIApp, scope: MutableMapping[str, Any], body: bytes | Iterable[bytes]) -> None:
        """Send a request to the application.

        Args:
            app: the ASGI application.
            scope: ASGI scope of the request.
            body: body, or an iterable of its pieces, which may block and is read in a thread.
        """
        self._app = app
        self._scope = scope
        self._body: bytes | Iterator[bytes] | None = body if isinstance(body, bytes) else iter(body)
        self._failure: Exception | None = None
        self._head: Head | None = None
        self._pieces: deque[bytes] = deque()
        self._complete = False
        self._ended = False
        self._error: Exception | None = None
        self._begun, self._readable, self._writable, self._left = (asyncio.Event() for _ in range(4))
        self.task = asyncio.create_task(self._answer())

    async def head(self) -> Head:
        """Return the status and the headers. Raises ConnectionError if there are none, and errors of the body."""
        await self._begun.wait()
        if self._failure:
            raise self._failure
        if self._head is None:
            raise ConnectionError("the application gave no response") from self._error
        return self._head

    async def piece(self) -> bytes | None:
        """Return the next piece of the body; None after the last. Raises ConnectionError if it was interrupted."""
        while not self._pieces:
            if self._complete:
                return None
            if self._ended:
                raise ConnectionError("the response broke off") from self._error
            self._readable.clear()
            await self._readable.wait()
        self._writable.set()
        return self._pieces.popleft()

    def leave(self) -> None:
        """Disconnect: the application receives ``http.disconnect``."""
        self._left.set()
        self._writable.set()

    async def _answer(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:  # the application has logged it, and usually answered
            self._error = error
        finally:
            self._ended = True
            self._begun.set()
            self._readable.set()

    async def _receive(self) -> Message:
        if isinstance(self._body, bytes):
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if self._body is not None and not self._left.is_set():
            try:
                piece = await asyncio.to_thread(next, self._body, None)
            except Exception as error:
                self._failure = error
                return {"type": "http.disconnect"}
            if piece is None:
                self._body = None
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = (message["status"], list(message.get("headers", [])))
            self._begun.set()
        elif message["type"] == "http.response.body":
            if message.get("body"):
                await self._put(bytes(message["body"]))
            if not message.get("more_body", False):
                self._complete = True
            self._readable.set()

    async def _put(self, piece: bytes) -> None:
        while len(self._pieces) >= _MOST_WAITING and not self._left.is_set():
            self._writable.clear()
            await self._writable.wait()
        if not self._left.is_set():
            self._pieces.append(piece)
