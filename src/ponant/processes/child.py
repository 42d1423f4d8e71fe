"""The child side of a worker process: its end of the socket."""

import contextlib
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

import msgspec

from ponant.processes.frames import PING, FrameBuffer, encode


class HasFileno(Protocol):
    """An object with a file descriptor."""

    def fileno(self) -> int:
        """The file descriptor."""
        ...


Frame = TypeVar("Frame", bound=msgspec.Struct)


class Connection(Generic[Frame]):
    """The worker's end of the socket."""

    def __init__(self, connection: socket.socket, decode: Callable[[bytes], Frame]) -> None:
        """Wrap a connected socket; ``decode`` decodes the body of a frame to the worker."""
        self._socket = connection
        self._decode = decode
        self._buffer = FrameBuffer()
        self._pinged = False

    def receive(self, *, wait: bool, other: HasFileno | None = None, timeout: float | None = None) -> list[Frame]:
        """Return the frames that have arrived. Pings are answered by the next call, after those frames are handled.

        Args:
            wait: wait until there is a frame, or until ``other`` can be read.
            other: a further object to wait for.
            timeout: longest wait in seconds; None for no limit.

        Raises:
            EOFError: the parent has closed the socket.
        """
        frames: list[Frame] = []
        sources = [self._socket, other] if other else [self._socket]
        while not frames:
            self._answer_ping()
            readable, _, _ = select.select(sources, [], [], timeout if wait else 0)
            if self._socket not in readable:
                break
            data = self._socket.recv(1 << 20)
            if not data:
                raise EOFError
            bodies = self._buffer.feed(data)
            self._pinged = b"" in bodies
            frames += [self._decode(body) for body in bodies if body]
        return frames

    def send(self, frame: msgspec.Struct) -> None:
        """Write a frame."""
        self._socket.sendall(encode(frame))

    def _answer_ping(self) -> None:
        if self._pinged:
            self._pinged = False
            self._socket.sendall(PING)


def leave_end_to_parent() -> None:
    """Ignore SIGINT and SIGTERM: service managers signal every process of a service, and the server ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextlib.contextmanager
def parent(decode: Callable[[bytes], Frame]) -> Iterator[Connection[Frame]]:
    """Open the socket given on the command line. The block ends without an error when the parent closes it."""
    leave_end_to_parent()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        yield Connection(socket.socket(fileno=int(sys.argv[1])), decode)
