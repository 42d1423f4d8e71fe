"""The trial of connections: many that are silent or slow, and a limit of file descriptors."""

import contextlib
import select
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from hostile.findings import Finding
from hostile.http_client import HOST, HealthProbe, HttpClient
from hostile.requests import JSON, Request
from hostile.results import Part
from hostile.server_process import MeasuredServer

_LIMIT_SECONDS = 2
"""Limits of the measured server for a head, for a pause in a body, and for idle connections."""
_CLOSED_SECONDS = 20
"""Seconds after which all connections must be closed."""
_DRIP_SECONDS = 0.5
_FEW_DESCRIPTORS = 256
_SETTINGS = {"head_timeout": _LIMIT_SECONDS, "body_timeout": _LIMIT_SECONDS, "idle_timeout": _LIMIT_SECONDS}
_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_OPENINGS: Mapping[str, bytes] = {
    "silent": b"",
    "line break": b"\r\n",
    "half a head": _HEAD,
    "half a header": _HEAD + b"X-Long: " + b"a" * 1000,
    "half a body": _HEAD + b'Content-Length: 1000\r\n\r\n{"messages"',
    "half a chunk": _HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{",
    "idle": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
"""First bytes of connections that then send nothing."""
_CHAT = Request(
    "chat next to silent connections",
    "POST",
    "/v1/chat/completions",
    b'{"messages":[{"role":"user","content":"Hello"}]}',
    JSON,
)


def try_connections(model: Path, *, full: bool) -> list[Part]:
    """Open silent, slow and too many connections."""
    count = 2000 if full else 240
    with MeasuredServer(model, **_SETTINGS) as server:
        silent = _silent(server, count)
        slow = _slow(server, count // 4)
    with MeasuredServer(model, descriptors=_FEW_DESCRIPTORS, **_SETTINGS) as server:
        many = _too_many(server)
    return [silent, slow, many]


def _silent(server: MeasuredServer, count: int) -> Part:
    part = Part("silent connections")
    server.take()
    before = _descriptors(server)
    with _opened(server, count) as connections:
        for index, (connection, opening) in enumerate(zip(connections, _repeated(count), strict=True)):
            with contextlib.suppress(OSError):
                connection.sendall(opening)
            part.requests = index + 1
        _check_served(server, part)
        _check_closed(connections, part, "silent connection")
    _check_descriptors(server, before, part)
    part.worst_turn = server.take().counts.worst_turn
    return part


def _slow(server: MeasuredServer, count: int) -> Part:
    """Send one byte of a head at a time: the limit holds for the whole head."""
    part = Part("slow connections", requests=count)
    with _opened(server, count) as connections:
        until = time.monotonic() + 2 * _LIMIT_SECONDS
        while time.monotonic() < until:
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.sendall(b"G" if time.monotonic() < until - 1.5 * _LIMIT_SECONDS else b"E")
            time.sleep(_DRIP_SECONDS)
        _check_served(server, part)
        _check_closed(connections, part, "slow connection")
    part.worst_turn = server.take().counts.worst_turn
    return part


def _too_many(server: MeasuredServer) -> Part:
    """Open more connections than there are file descriptors: new clients are served."""
    part = Part("more connections than descriptors", requests=2 * _FEW_DESCRIPTORS)
    with _opened(server, 2 * _FEW_DESCRIPTORS) as connections:
        _check_served(server, part)
        _check_closed(connections, part, "connection beyond the limit")
    return part


def _repeated(count: int) -> Iterator[bytes]:
    openings = list(_OPENINGS.values())
    return (openings[index % len(openings)] for index in range(count))


@contextlib.contextmanager
def _opened(server: MeasuredServer, count: int) -> Iterator[list[socket.socket]]:
    """Open connections; close those that are left at the end."""
    with contextlib.ExitStack() as opened:
        yield [opened.enter_context(socket.create_connection((HOST, server.port), timeout=10)) for _ in range(count)]


def _check_served(server: MeasuredServer, part: Part) -> None:
    """Ask for the health and for an answer."""
    client = HttpClient(server.port, _CLOSED_SECONDS)
    with HealthProbe(server.port, _CLOSED_SECONDS) as probe:
        reply = client.send(_CHAT)
        time.sleep(0.2)
    client.close()
    part.statuses[reply.status] += 1
    part.longest_health = probe.longest
    if reply.status != 200:
        part.findings.append(Finding("shut out", part.name, f"a chat request had status {reply.status}"))
    if probe.failures:
        part.findings.append(Finding("shut out", part.name, f"/health failed {probe.failures} times"))


def _check_closed(connections: Sequence[socket.socket], part: Part, what: str) -> None:
    """Wait until the server has closed all connections."""
    deadline = time.monotonic() + _CLOSED_SECONDS
    left = set(connections)
    poll = select.poll()
    by_number = {connection.fileno(): connection for connection in connections}
    for number in by_number:
        poll.register(number, select.POLLIN)
    while left and (seconds := deadline - time.monotonic()) > 0:
        for number, _ in poll.poll(1000 * seconds):
            if _is_closed(by_number[number]):
                poll.unregister(number)
                left.discard(by_number[number])
    if left:
        detail = f"{len(left)} of {len(connections)} are open after {_CLOSED_SECONDS} s; the limits are 2 s"
        part.findings.append(Finding("connection kept", what, detail))


def _is_closed(connection: socket.socket) -> bool:
    try:
        return not connection.recv(2**16)
    except OSError:
        return True


def _descriptors(server: MeasuredServer) -> int:
    return int(psutil.Process(server.process_id).num_fds())


def _check_descriptors(server: MeasuredServer, before: int, part: Part) -> None:
    """Compare the open file descriptors with those before."""
    deadline = time.monotonic() + _CLOSED_SECONDS
    while (now := _descriptors(server)) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    if now > before:
        part.findings.append(Finding("descriptors kept", part.name, f"{now}, and {before} before"))
