"""Misbehaving servers, made of plain sockets."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

Behaviour = Callable[[socket.socket], None]
"""Behaviour of a server on a connection after it has read the request."""

CHUNK = {
    "id": "cmpl-1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}],
}
ANSWER = {
    "id": "cmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
DONE = b"data: [DONE]\n\n"


class Server:
    """Server that answers each connection with the next behaviour, and repeats the last one."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self._behaviours = list(behaviours)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._threads: list[threading.Thread] = []
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread.start()

    def close(self) -> None:
        """End the server. Fails if a client has left a connection open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in (self._thread, *self._threads):
            thread.join(10)
            assert not thread.is_alive()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                behave = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
                thread = threading.Thread(target=self._answer, args=(connection, behave), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _answer(self, connection: socket.socket, behave: Behaviour) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            self.requests.append(read_request(connection))
            behave(connection)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass  # until the client closes the connection


@contextlib.contextmanager
def misbehaving(*behaviours: Behaviour) -> Iterator[Server]:
    """Run a server with these behaviours."""
    server = Server(*behaviours)
    try:
        yield server
    finally:
        server.close()


def read_request(connection: socket.socket) -> bytes:
    """Read a request's head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length")]
    while len(body) < sum(lengths):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def respond(
    status: int, body: bytes | str | dict[str, Any] = b"", *, kind: str = "application/json", **headers: str
) -> Behaviour:
    """Send a response."""
    content = json.dumps(body) if isinstance(body, dict) else body
    content = content.encode() if isinstance(content, str) else content
    lines = {"content-type": kind, "content-length": str(len(content)), "connection": "close"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    return send(head(status, lines) + content)


def stream(*pieces: bytes, kind: str = "text/event-stream") -> Behaviour:
    """Send a stream without a length, which ends with the connection."""
    return send(head(200, {"content-type": kind, "connection": "close"}), *pieces)


def send(*pieces: bytes) -> Behaviour:
    """Send these bytes."""

    def behave(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return behave


def then_silence(behaviour: Behaviour) -> Behaviour:
    """Add silence until the client disconnects."""

    def behave(connection: socket.socket) -> None:
        behaviour(connection)
        while connection.recv(65536):
            pass

    return behave


def then_drip(behaviour: Behaviour, piece: bytes) -> Behaviour:
    """Add a few bytes, repeated until the client disconnects."""

    def behave(connection: socket.socket) -> None:
        behaviour(connection)
        connection.settimeout(0.02)
        while True:
            connection.sendall(piece)
            with contextlib.suppress(TimeoutError):
                if not connection.recv(65536):
                    return

    return behave


def reset(connection: socket.socket) -> None:
    """Reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def event(data: dict[str, Any] | str = CHUNK) -> bytes:
    return f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
