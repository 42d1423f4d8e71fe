"""Connections: upgrade offers, heads in pieces, pipelining, disconnects."""

import contextlib
import json
import logging
import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.chatting import CHAT, body
from tests.in_process import ScriptedServer
from tests.scripted_engine import Gate
from tests.serving import RunningServer, wait_until

H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
"""Offer that Java's client sends with every request."""
OFFERS = {
    "h2c": H2C,
    "h2c in lower case": H2C.lower(),
    "websocket": "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    "several": "Upgrade: h2c\r\nUpgrade: TLS/1.3, IRC/6.9\r\nConnection: upgrade\r\n",
    "without connection": "Upgrade: h2c\r\n",
    "connection alone": "Connection: upgrade\r\n",
}


class Connection:
    """Connection of a client that writes its requests itself."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send = connection.sendall
        self.incoming = connection.makefile("rb")

    def read(self) -> tuple[int, Any]:
        """Return the status and the JSON of the next response."""
        head = b"".join(iter(self.incoming.readline, b"\r\n"))
        length = re.search(rb"content-length: (\d+)", head)
        assert length, head
        return int(head.split()[1]), json.loads(self.incoming.read(int(length[1])))

    def read_tokens(self) -> int:
        """Return the number of tokens of the next answer."""
        status, answer = self.read()
        assert status == 200, answer
        tokens: int = answer["usage"]["completion_tokens"]
        return tokens


@contextlib.contextmanager
def connected(server: RunningServer) -> Iterator[Connection]:
    url = httpx2.URL(server.url)
    with socket.create_connection((url.host, url.port), timeout=60) as opened:
        connection = Connection(opened)
        with connection.incoming:
            yield connection


def chat(offer: str = "", *, tokens: int = 1, chunked: bool = False, **fields: Any) -> bytes:
    """Return a chat request whose answer has ``tokens`` tokens."""
    content = json.dumps(body(**{"max_tokens": tokens, **fields})).encode()
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(content)}"
    head = f"POST {CHAT}?a=b HTTP/1.1\r\nHost: localhost\r\n{offer}Content-Type: application/json\r\n{length}\r\n\r\n"
    half = len(content) // 2
    parts = (b"%x\r\n%b\r\n" % (len(part), part) for part in (content[:half], content[half:], b""))
    return head.encode() + (b"".join(parts) if chunked else content)


def get(offer: str, path: str = "/v1/models") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{offer}\r\n".encode()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_request_with_an_upgrade_offer_is_answered_with_its_body(
    scripted_server: ScriptedServer, offer: str, chunked: bool
) -> None:
    with connected(scripted_server) as connection:
        for tokens in (1, 2):
            connection.send(chat(offer, tokens=tokens, chunked=chunked))
            assert connection.read_tokens() == tokens
        connection.send(get(offer))
        assert connection.read()[0] == 200


def test_pipelined_requests_with_and_without_offers_are_answered_in_order(scripted_server: ScriptedServer) -> None:
    requests = [chat(H2C, tokens=2), chat(tokens=1), get(H2C), chat(H2C, tokens=1, chunked=True), chat(H2C, tokens=2)]
    with connected(scripted_server) as connection:
        connection.send(b"".join(requests))
        assert [connection.read_tokens(), connection.read_tokens()] == [2, 1]
        assert connection.read()[0] == 200
        assert [connection.read_tokens(), connection.read_tokens()] == [1, 2]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_head_and_body_may_come_in_pieces(scripted_server: ScriptedServer, size: int) -> None:
    data = chat(H2C, tokens=2) + chat(H2C, tokens=1, chunked=True)
    with connected(scripted_server) as connection:
        for start in range(0, len(data), size):
            connection.send(data[start : start + size])
        assert [connection.read_tokens(), connection.read_tokens()] == [2, 1]


def test_expected_continue_is_sent_before_the_body(scripted_server: ScriptedServer) -> None:
    head, _, content = chat(H2C + "Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with connected(scripted_server) as connection:
        connection.send(head + b"\r\n\r\n")
        assert connection.incoming.read(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(content)
        assert connection.read_tokens() == 1


def test_connection_is_closed_if_the_client_asks_for_it(scripted_server: ScriptedServer) -> None:
    with connected(scripted_server) as connection:
        connection.send(chat("Connection: close, upgrade\r\nUpgrade: h2c\r\n") + get(""))
        assert connection.read_tokens() == 1
        assert connection.incoming.read() == b""


@pytest.mark.parametrize(
    "request_",
    [
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n" + get(""),
        get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" + H2C),
        get("Content-Length: 5\r\nContent-Length: 6\r\n" + H2C),
        get("Transfer-Encoding: chunked, identity\r\n" + H2C),
        get("Upgrade : h2c\r\nConnection: upgrade\r\n"),
        get("Upgrade: h2c\r\n folded: yes\r\nConnection: upgrade\r\n"),
        get("Upgrade: h2c\r\nConnection: upgrade\r\nX: a\rb\r\n"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_requests_that_could_be_read_in_two_ways_are_refused_and_end_the_connection(
    scripted_server: ScriptedServer, request_: bytes
) -> None:
    with connected(scripted_server) as connection:
        connection.send(request_)
        answer = connection.incoming.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("later", [False, True])
def test_disconnect_ends_the_running_request_of_a_pipeline(scripted_server: ScriptedServer, later: bool) -> None:
    gate = Gate()
    scripted_server.engine.play("Hello", gate, "never")
    with connected(scripted_server) as connection:
        connection.send(chat(tokens=100) + (b"" if later else get("")))
        assert gate.reached.wait(30)
        generation = scripted_server.engine.generations[-1]
        if later:
            connection.send(get("") * 2)
    wait_until(generation.ended.is_set, 10)


# Abandoned requests


@pytest.fixture
def requests_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "ponant.server")
    return caplog


def logged(requests: pytest.LogCaptureFixture, path: str) -> list[int]:
    """Wait for log lines of requests to a path, and return their statuses."""
    wait_until(lambda: any(vars(record).get("path") == path for record in requests.records))
    return [vars(record)["status"] for record in requests.records if vars(record).get("path") == path]


@pytest.mark.parametrize("path", [CHAT, f"/openai{CHAT}"])
@pytest.mark.parametrize("stream", [False, True])
def test_abandoned_answer_is_logged_as_499(
    scripted_server: ScriptedServer, requests_logged: pytest.LogCaptureFixture, path: str, stream: bool
) -> None:
    gate = Gate()
    scripted_server.engine.play("Hello", gate, "never")
    with connected(scripted_server) as connection:
        connection.send(chat(tokens=100, stream=stream).replace(CHAT.encode(), path.encode()))
        assert gate.reached.wait(30)
        if stream:
            assert b" 200 " in connection.incoming.readline()
    assert logged(requests_logged, path) == [499]


def test_abandoned_upload_and_download_are_logged_as_499(
    scripted_server: ScriptedServer, requests_logged: pytest.LogCaptureFixture
) -> None:
    with scripted_server.client() as client:
        upload = {"file": ("big.pdf", b"x" * 2**25)}
        file = client.post("/v1/files", files=upload, data={"purpose": "ocr"}).json()
        content = f"/v1/files/{file['id']}/content"
        assert logged(requests_logged, "/v1/files") == [200]
        with connected(scripted_server) as connection:
            connection.send(get("", content))
            assert b" 200 " in connection.incoming.readline()
        assert logged(requests_logged, content) == [499]
        client.delete(f"/v1/files/{file['id']}")
    requests_logged.clear()
    with connected(scripted_server) as connection:
        head = "Host: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\r\n"
        connection.send(f"POST /v1/files HTTP/1.1\r\n{head}--x\r\n".encode())
    assert logged(requests_logged, "/v1/files") == [499]


def test_complete_answer_is_logged_with_its_status_even_if_the_connection_ends(
    scripted_server: ScriptedServer, requests_logged: pytest.LogCaptureFixture
) -> None:
    with connected(scripted_server) as connection:
        connection.send(chat("Connection: close\r\n", stream=True))
        assert connection.incoming.read().endswith(b"\r\n0\r\n\r\n")
    assert logged(requests_logged, CHAT) == [200]
