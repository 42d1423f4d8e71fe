"""Connections that wait for their client: time limits, and the number of connections."""

import contextlib
import json
import logging
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from ponant.server import run
from tests.chatting import CHAT, body
from tests.in_process import serving_scripted
from tests.serving import RunningServer, wait_until

MOST = 6
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
DOCUMENT = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n"
MANY = 60
"""Requests whose answers no buffers of the system hold."""
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
RAISE = """
import resource
from ponant.server.connection_limits import most_connections, raise_descriptor_limit
before = most_connections()
raise_descriptor_limit()
print(before, most_connections(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.fixture(scope="module")
def hasty(tiny_model: Path) -> Iterator[RunningServer]:
    """Server with short time limits."""
    with serving_scripted(tiny_model, head_timeout=0.5, body_timeout=1, idle_timeout=0.5) as server:
        yield server


@pytest.fixture
def small(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    """Server with few connections, whose clients have all the time."""
    monkeypatch.setattr(run, "most_connections", lambda: MOST)
    with serving_scripted(tiny_model, head_timeout=600, body_timeout=600) as server:
        yield server


@contextlib.contextmanager
def connected(server: RunningServer, data: bytes = b"") -> Iterator[socket.socket]:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as client:
        client.sendall(data)
        yield client


def received(client: socket.socket) -> bytes:
    """Return all bytes until the server closes the connection."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65536):
            data += piece
    return data


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"\r\n", b""),
        (b"GET /he", b"HTTP/1.1 408 "),
        (HEAD, b"HTTP/1.1 408 "),
        (HEAD + b"Content-Length: 10\r\n\r\n{", b"HTTP/1.1 408 "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 408 "),
        (HEALTH, b"HTTP/1.1 200 "),
        (HEALTH + b"\r\n", b"HTTP/1.1 200 "),
        (HEALTH + b"GET /he", b"HTTP/1.1 200 "),
    ],
)
def test_clients_that_send_nothing_more_are_disconnected(hasty: RunningServer, sent: bytes, answer: bytes) -> None:
    with connected(hasty, sent) as client:
        data = received(client)
    assert data.startswith(answer)
    assert bool(data) == bool(answer)
    if b" 408 " in data:
        error = json.loads(data.rpartition(b"\r\n\r\n")[2])
        assert (error["object"], error["type"]) == ("error", "timeout")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /health?" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 10_000 + b"\r\n\r\n", 431),
        (b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n" + b"A: aaaaaaaaaaaaaaaaaaaa\r\n" * 4_000 + b"\r\n", 431),
        (b"GET /v1/models?" + b"a&" * 1001 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /openai/v1/models?" + b"a=1&" * 1001 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /v1/models?" + b"a=1&" * 999 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (b"GET /" + b"a" * 600_000, 431),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 600_000, 431),
    ],
)
def test_large_heads_are_refused(hasty: RunningServer, sent: bytes, status: int) -> None:
    with connected(hasty) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(sent)
        assert client.recv(1000).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("closes", [False, True])
def test_clients_that_do_not_read_are_disconnected(tiny_model: Path, closes: bool) -> None:
    close = b"Connection: close\r\n" if closes else b""
    with serving_scripted(tiny_model, send_timeout=0.2) as server, connected(server) as client:
        wait_until(lambda: is_open(client))
        for _ in range(MANY):
            client.sendall(DOCUMENT + b"\r\n")
        client.sendall(DOCUMENT + close + b"\r\n")
        wait_until(lambda: not is_open(client))
        assert received(client).count(b"HTTP/1.1 200") < MANY


def test_clients_that_read_slowly_are_served(tiny_model: Path) -> None:
    with serving_scripted(tiny_model, send_timeout=1) as server, connected(server) as client:
        for _ in range(MANY):
            client.sendall(DOCUMENT + b"\r\n")
        client.sendall(DOCUMENT + b"Connection: close\r\n\r\n")
        data, until = bytearray(), time.monotonic() + 3
        while piece := client.recv(2**16):
            data += piece
            time.sleep(0.02 if time.monotonic() < until else 0)
    assert data.count(b"HTTP/1.1 200") == MANY + 1


def is_open(client: socket.socket) -> bool:
    """True if the server, which is in this process, has accepted a connection and not closed it."""
    connections = psutil.Process().net_connections("tcp")
    return client.getsockname() in [connection.raddr for connection in connections]


def test_slow_bodies_and_slow_answers_are_served(hasty: RunningServer) -> None:
    content = json.dumps(body(max_tokens=3)).encode()
    with connected(hasty, HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(content)) as client:
        third = len(content) // 3
        for piece in (content[:third], content[third : 2 * third], content[2 * third :]):
            with contextlib.suppress(TimeoutError):
                client.settimeout(0.6)
                client.recv(1)
            client.sendall(piece)
        client.settimeout(30)
        assert received(client).startswith(b"HTTP/1.1 200 ")


def test_new_connections_replace_those_that_wait_longest(
    small: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "ponant.server"), contextlib.ExitStack() as stack:
        logger = logging.getLogger("ponant")
        propagates, logger.propagate = logger.propagate, True
        silent = [stack.enter_context(connected(small)) for _ in range(3 * MOST)]
        with connected(small, HEALTH) as client:
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        logger.propagate = propagates
        assert received(silent[0]) == b""
        silent[-1].sendall(HEALTH)
        assert silent[-1].recv(1000).startswith(b"HTTP/1.1 200 ")
    assert [record.message for record in caplog.records].count("connections near the limit") == 1


def test_busy_server_still_reports_its_health(small: RunningServer) -> None:
    with contextlib.ExitStack() as stack:
        busy = [stack.enter_context(connected(small, HEAD + b"Content-Length: 9\r\n\r\n")) for _ in range(MOST)]
        with small.client() as client:
            wait_until(lambda: client.get("/v1/models").status_code == 503)
            assert client.get("/health").status_code == 200
            assert client.get("/ready").status_code == 200
        for connection in busy:
            connection.close()
        wait_until(lambda: _chat_status(small) == 200)


def _chat_status(server: RunningServer) -> int:
    with server.client() as client:
        return client.post(CHAT, json=body(max_tokens=1)).status_code


def test_limit_of_descriptors_is_raised_as_far_as_it_goes() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    result = subprocess.run(
        ["sh", "-c", 'ulimit -S -n 256 && exec "$0" -c "$1"', sys.executable, RAISE],
        capture_output=True,
        text=True,
        check=True,
    )
    before, after, soft, now_hard = map(int, result.stdout.split())
    assert before < 256 <= after < soft
    assert now_hard == hard
