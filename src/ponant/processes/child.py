"""What the processes that compute have in common: their end of the socket, and how they begin and end."""

import contextlib
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

import msgspec

from ponant.processes.frames import FrameBuffer, encode


class HasFileno(Protocol):
    """What can be waited for."""

    def fileno(self) -> int:
        """The file descriptor."""
        ...


Frame = TypeVar("Frame", bound=msgspec.Struct)


class Connection(Generic[Frame]):
    """The worker's end of the socket."""

    def __init__(self, connection: socket.socket, decode: Callable[[bytes], Frame]) -> None:
        """``decode`` reads a frame that was sent to the worker."""
        self._socket = connection
        self._decode = decode
        self._buffer = FrameBuffer()

    def receive(self, *, wait: bool, other: HasFileno | None = None) -> list[Frame]:
        """The frames that have arrived, waiting for at least one if asked, or for something else that can be read.

        Raises EOFError at the end.
        """
        frames: list[Frame] = []
        sources = [self._socket, other] if other else [self._socket]
        while not frames:
            readable, _, _ = select.select(sources, [], [], None if wait else 0)
            if self._socket not in readable:
                break
            data = self._socket.recv(1 << 20)
            if not data:
                raise EOFError
            frames += map(self._decode, self._buffer.feed(data))
        return frames

    def send(self, frame: msgspec.Struct) -> None:
        """Write a frame."""
        self._socket.sendall(encode(frame))


@contextlib.contextmanager
def parent(decode: Callable[[bytes], Frame]) -> Iterator[Connection[Frame]]:
    """The connection over the socket given on the command line; the block ends quietly when the other side is gone."""
    # A supervisor may send its signal to every process of a service; it is for the server to decide when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        yield Connection(socket.socket(fileno=int(sys.argv[1])), decode)
