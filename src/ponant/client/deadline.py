"""Time limits of whole answers and events. The limits of httpx2 apply to single reads."""

import time
from collections.abc import AsyncIterator, Iterator

import httpx2


class Deadline:
    """Deadline ``seconds`` from now, checked with every piece of a response; None for no limit."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Restart the time."""
        self._end = None if self.seconds is None else time.monotonic() + self.seconds

    def check(self) -> None:
        """Raise httpx2.ReadTimeout if the deadline has passed."""
        if self._end is not None and time.monotonic() > self._end:
            raise httpx2.ReadTimeout("the answer took too long")


def watch(response: httpx2.Response, deadline: Deadline) -> None:
    """Check the deadline while a response is read."""
    stream = response.stream
    if isinstance(stream, httpx2.AsyncByteStream):
        response.stream = _AsyncWatched(stream, deadline)
    else:
        assert isinstance(stream, httpx2.SyncByteStream)
        response.stream = _Watched(stream, deadline)


class _Watched(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._deadline.check()
            yield piece

    def close(self) -> None:
        self._stream.close()


class _AsyncWatched(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._deadline.check()
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
