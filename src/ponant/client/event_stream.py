"""Streams of server-sent events. They close their connection when they are left."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

import httpx2

from ponant.client.deadline import Deadline
from ponant.client.errors import ConnectionLostError, MistralError, ResponseValidationError, StreamError
from ponant.client.failures import failure, reported_error
from ponant.client.loops import close_later

T = TypeVar("T")

_DONE = "[DONE]"
_ENCODING = "utf-8-sig"
"""Encoding of every stream of events: UTF-8, with or without a byte order mark at its beginning."""
_LARGEST_EVENT = 64 * 2**20
_EVENTS = frozenset({"message", "error"})
"""Types of events that are read; others are not part of the answer."""


class EventStream(Generic[T]):
    """Iterator over the events of a stream, also a context manager.

    Leaving the ``with`` block, or ``close``, ends the request on the server, too::

        with client.chat.stream(model="smollm2", messages=messages) as events:
            for event in events:
                print(event.data.choices[0].delta.content, end="")

    Attributes:
        response: HTTP response of the stream.
    """

    def __init__(
        self,
        response: httpx2.Response,
        read: Callable[[str], T],
        deadline: Deadline,
        owner: object = None,
        is_complete: Callable[[], bool] = lambda: False,
    ) -> None:
        """Iterate over the events of a response.

        Args:
            response: response whose headers have been read.
            read: parser of an event's data.
            deadline: deadline of the next event.
            owner: object that must live as long as the stream.
            is_complete: returns True if the events read so far are a whole answer, though [DONE] is missing.
        """
        self.response = response
        self._reader = _EventReader(response, read, deadline, is_complete)
        self._owner = owner
        self._events = _follow(self._reader)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return next(self._events)

    def __enter__(self) -> "EventStream[T]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()

    def close(self) -> None:
        """End the stream and its request. Remaining events are not read."""
        self._reader.done = True
        self.response.close()


class EventStreamAsync(Generic[T]):
    """Async iterator over the events of a stream, also an async context manager.

    Leaving the ``async with`` block, or ``close``, ends the request on the server, too.

    Attributes:
        response: HTTP response of the stream.
    """

    def __init__(
        self,
        response: httpx2.Response,
        read: Callable[[str], T],
        deadline: Deadline,
        owner: object = None,
        is_complete: Callable[[], bool] = lambda: False,
    ) -> None:
        """Iterate over the events of a response; arguments as for ``EventStream``."""
        self.response = response
        self._reader = _EventReader(response, read, deadline, is_complete)
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._events = _follow_async(self._reader)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        return await anext(self._events)

    async def __aenter__(self) -> "EventStreamAsync[T]":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        if not self.response.is_closed:
            close_later(self._loop, self.response.aclose)

    async def close(self) -> None:
        """End the stream and its request. Remaining events are not read."""
        self._reader.done = True
        await self.response.aclose()


# The generators hold no reference to their stream, so that an unreferenced stream is collected, and ends, at once.


def _follow(reader: "_EventReader[T]") -> Iterator[T]:
    try:
        with reader.errors():
            for event in httpx2.EventSource(reader.response, _LARGEST_EVENT):
                if reader.wants(event):
                    yield reader.read(event)
                if reader.done:
                    return
                reader.deadline.restart()
            reader.ended()
    finally:
        # Do not read to the end: a server may keep the connection open after [DONE].
        reader.done = True
        reader.response.close()


async def _follow_async(reader: "_EventReader[T]") -> AsyncIterator[T]:
    try:
        with reader.errors():
            async for event in httpx2.EventSource(reader.response, _LARGEST_EVENT):
                if reader.wants(event):
                    yield reader.read(event)
                if reader.done:
                    return
                reader.deadline.restart()
            reader.ended()
    finally:
        reader.done = True
        await reader.response.aclose()


class _EventReader(Generic[T]):
    """Reader of events, for sync and async streams."""

    def __init__(
        self, response: httpx2.Response, read: Callable[[str], T], deadline: Deadline, is_complete: Callable[[], bool]
    ) -> None:
        response.encoding = _ENCODING
        self.deadline = deadline
        self.done = False
        self.response = response
        self._read = read
        self._is_complete = is_complete

    def wants(self, event: httpx2.ServerSentEvent) -> bool:
        """Return True if the event is part of the answer, and set ``done`` at the last one."""
        self.done = self.done or event.data == _DONE
        return not self.done and event.event in _EVENTS and bool(event.data)

    def read(self, event: httpx2.ServerSentEvent) -> T:
        try:
            return self._read(event.data)
        except ValueError as error:
            raise self._misread(event.data, error) from error

    def ended(self) -> None:
        """Raise ConnectionLostError if the stream ended before the answer was complete."""
        if not (self.done or self._is_complete()):
            raise ConnectionLostError("The stream ended before the answer was complete. Try again.")

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except httpx2.SSEError as error:
            raise ResponseValidationError("The stream cannot be read", self.response, error, body="") from error
        except httpx2.StreamClosed:
            if not self.done:
                raise
        except httpx2.RequestError as error:
            if not self.done:
                seconds = self.deadline.seconds
                raise failure(error, self.response.request, seconds=seconds, begun=True) from error

    def _misread(self, data: str, error: ValueError) -> MistralError:
        if reported := reported_error(data):
            return StreamError(reported, self.response, data)
        return ResponseValidationError("An event of the stream cannot be read", self.response, error, body=data)
