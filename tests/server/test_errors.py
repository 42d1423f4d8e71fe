"""Errors in responses: status, format and request id."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.chatting import (
    CHAT,
    ENDLESS,
    answer,
    ask,
    assert_ended_by_error,
    assert_error,
    assert_has_id,
    body,
    data_of,
    texts,
)
from tests.in_process import EXACT, serving_in_process, serving_scripted
from tests.serving import RunningServer
from tests.tiny_model import build_vocabulary, write_tiny_model

LIMIT = 1000
"""Body limit of the limited server, in bytes."""
HOPELESS = "\x01"
"""Token that makes the failing model fail if a prompt has it."""
RISKY = ("q", "Z")
"""Texts of tokens after which the failing model fails."""


def post(server: RunningServer, **request: Any) -> httpx2.Response:
    with server.client() as client:
        return client.post(CHAT, headers={"content-type": "application/json"}, **request)


def test_unknown_paths_are_404_and_unknown_methods_405(tiny_server: RunningServer) -> None:
    with tiny_server.client() as client:
        for path in ("/v1", "/v1/chat", "/v1/chat/completions/more", "/v2/models", "/pages/static/missing.js"):
            assert_error(client.get(path), 404, "not_found")
        for method, path in (("GET", CHAT), ("DELETE", "/v1/models"), ("PUT", "/v1/models/tiny"), ("POST", "/health")):
            response = client.request(method, path)
            assert_error(response, 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (CHAT, {"POST"}),
        (f"/openai{CHAT}", {"POST"}),
        ("/chat/completions/", {"POST"}),
        ("/v1/models", {"GET"}),
        ("/v1/models/a/b", {"GET", "DELETE"}),
        ("/v1/files", {"GET", "POST"}),
        ("/v1/files/x", {"GET", "DELETE"}),
        ("/v1/files/x/content", {"GET"}),
        ("/v1/fine_tuning/jobs", {"GET", "POST"}),
        ("/v1/fine_tuning/jobs/x/cancel", {"POST"}),
        ("/v1/fine_tuning/models/a/b", {"PATCH"}),
        ("/v1/fine_tuning/models/a/archive", {"POST", "DELETE"}),
        ("/health", {"GET"}),
        ("/pages/static/base.css", {"GET", "HEAD"}),
    ],
)
def test_methods_of_a_path_are_listed_where_another_is_refused(
    tiny_server: RunningServer, path: str, methods: set[str]
) -> None:
    with tiny_server.client() as client:
        for method in ("PUT", "OPTIONS"):
            response = client.request(method, path)
            assert response.status_code == 405
            assert set(response.headers["allow"].split(", ")) == methods


@pytest.mark.parametrize("base", ["/", "//", "/v1/", "/v1//", "//v1/", "//v1///"])
def test_doubled_slashes_and_slashes_at_the_end_change_nothing(tiny_server: RunningServer, base: str) -> None:
    with tiny_server.client() as client:
        for prefix in ("", "/openai", "//openai", "/nim/", "//nim//"):
            if prefix and "v1" not in base:
                continue
            url = f"{tiny_server.url}{prefix}{base}"
            for path in ("chat/completions", "chat//completions/"):
                assert client.post(f"{url}{path}", json=body(max_tokens=1)).status_code == 200
            assert client.get(f"{url}models/").json()["object"] == "list"
            assert client.get(f"{url}models//tiny//").json()["id"] == "tiny"
        assert client.get(f"{tiny_server.url}//health/").json() == {"status": "ok"}


def test_unknown_model_cannot_be_retrieved(tiny_server: RunningServer) -> None:
    with tiny_server.client() as client:
        response = client.get("/v1/models/no/such-model")
    assert "no/such-model" in assert_error(response, 404, "invalid_model")


def test_refused_requests_are_told_in_their_shapes(tiny_server: RunningServer) -> None:
    assert_error(ask(tiny_server, model="no-such-model"), 400, "invalid_model")
    assert_error(ask(tiny_server, max_tokens=100_000), 400, "context_length_exceeded")
    for stream in (False, True):
        assert_error(ask(tiny_server, model="no-such-model", stream=stream), 400, "invalid_model")


def test_every_response_has_an_id_of_its_own(tiny_server: RunningServer) -> None:
    with tiny_server.client() as client:
        responses = [
            client.get("/health"),
            client.get("/docs"),
            client.get("/openapi.json"),
            client.get("/pages/static/base.css"),
            client.get("/v1/models"),
            client.post(CHAT, json=body()),
            client.post(CHAT, json=body(stream=True)),
            client.post(CHAT, json=body(temperature=7)),
            client.post(CHAT, content=b"{"),
            client.get("/nowhere"),
        ]
    assert [response.status_code for response in responses] == [200, 200, 200, 200, 200, 200, 200, 422, 422, 404]
    for response in responses:
        assert_has_id(response)
    assert len({response.headers["x-request-id"] for response in responses}) == len(responses)


# Bodies that are too large


@pytest.fixture(scope="module")
def limited_server(tiny_model: Path) -> Iterator[RunningServer]:
    with serving_scripted(tiny_model, max_body_size=LIMIT) as server:
        yield server


def padded(size: int) -> bytes:
    """Return a valid request body of that many bytes."""
    content = json.dumps(body()).encode()
    return content + b" " * (size - len(content))


def in_chunks(content: bytes) -> Iterator[bytes]:
    """Yield the content in chunks, which httpx2 sends without a Content-Length header."""
    for start in range(0, len(content), 100):
        yield content[start : start + 100]


def test_body_at_the_limit_is_read_and_a_larger_one_gets_413(limited_server: RunningServer) -> None:
    assert post(limited_server, content=padded(LIMIT)).status_code == 200
    assert str(LIMIT) in assert_error(post(limited_server, content=padded(LIMIT + 1)), 413, "request_too_large")


def test_body_of_unannounced_length_is_held_to_the_limit_too(limited_server: RunningServer) -> None:
    assert post(limited_server, content=in_chunks(padded(LIMIT))).status_code == 200
    response = post(limited_server, content=in_chunks(padded(LIMIT + 1)))
    assert_error(response, 413, "request_too_large")


def test_body_much_larger_than_the_limit_gets_413_whether_announced_or_not(limited_server: RunningServer) -> None:
    content = padded(8 * 2**20)
    assert_error(post(limited_server, content=content), 413, "request_too_large")
    assert_error(post(limited_server, content=iter([content])), 413, "request_too_large")


def test_announced_body_is_refused_before_it_is_sent(limited_server: RunningServer) -> None:
    url = httpx2.URL(limited_server.url)
    with socket.create_connection((url.host, url.port), timeout=30) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {10 * LIMIT}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_usual_limit_takes_bodies_of_32_megabytes(tiny_server: RunningServer) -> None:
    assert post(tiny_server, content=padded(32 * 2**20)).status_code == 200
    assert_error(post(tiny_server, content=padded(32 * 2**20 + 1)), 413, "request_too_large")


# Requests that take too long


@pytest.fixture(scope="module")
def impatient_server(endless_model: Path) -> Iterator[RunningServer]:
    """Server with one slot and a request timeout of two seconds."""
    with serving_in_process(endless_model, **EXACT, parallel=1, request_timeout=2) as server:
        yield server


def test_request_that_takes_too_long_gets_504_and_frees_its_place(impatient_server: RunningServer) -> None:
    assert_error(ask(impatient_server, **ENDLESS), 504, "timeout")
    assert answer(impatient_server)["choices"]


def test_stream_that_takes_too_long_ends_with_an_error(impatient_server: RunningServer) -> None:
    with (
        impatient_server.client() as client,
        client.stream("POST", CHAT, json=body(**ENDLESS, stream=True)) as response,
    ):
        assert response.status_code == 200
        data = list(data_of(response))
    assert len(data) > 2
    assert_ended_by_error(data, "timeout")
    assert answer(impatient_server)["choices"]


# Too many requests


def test_request_beyond_the_queue_gets_429_and_the_one_in_it_is_answered(endless_model: Path) -> None:
    with (
        serving_in_process(endless_model, **EXACT, parallel=1, queue_limit=1) as server,
        ThreadPoolExecutor() as threads,
        server.client() as client,
    ):
        with client.stream("POST", CHAT, json=body(**ENDLESS, stream=True)) as running:
            data = data_of(running)
            next(data)
            two = {threads.submit(ask, server), threads.submit(ask, server, stream=True)}
            (refused,), (queued,) = wait(two, return_when=FIRST_COMPLETED)
            assert_error(refused.result(), 429, "rate_limited")
            assert int(refused.result().headers["retry-after"]) > 0
        assert queued.result().status_code == 200


# Completions that fail


@pytest.fixture(scope="module")
def failing_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Server whose model fails by chance, and always if the prompt contains ``HOPELESS``."""
    path = tmp_path_factory.mktemp("models") / "failing.gguf"
    tokens = [build_vocabulary().id_of(text) for text in (HOPELESS, *RISKY)]
    write_tiny_model(path, nan_tokens=tokens)
    with serving_in_process(path, **EXACT) as server:
        yield server


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"n": 3}])
def test_request_of_which_nothing_can_be_computed_gets_500(
    failing_server: RunningServer, fields: dict[str, Any]
) -> None:
    assert_error(ask(failing_server, text=HOPELESS, **fields), 500, "completion_failed")
    assert answer(failing_server, max_tokens=1)["choices"]


def test_stream_of_which_all_choices_fail_ends_with_an_error(failing_server: RunningServer) -> None:
    with failing_server.client() as client:
        response = client.post(CHAT, json=body(HOPELESS, stream=True, n=3))
    assert_ended_by_error(list(data_of(response)), "completion_failed")


def test_choice_that_fails_is_told_and_the_others_are_complete(failing_server: RunningServer) -> None:
    fields: dict[str, Any] = {"n": 8, "temperature": 1.0, "random_seed": 1, "max_tokens": 40, "min_tokens": 40}
    choices = answer(failing_server, **fields)["choices"]
    assert {choice["finish_reason"] for choice in choices} == {"error", "length"}
    assert [choice["index"] for choice in choices] == list(range(8))
    for choice in choices:
        said_it = any(risky in choice["message"]["content"] for risky in RISKY)
        assert said_it == (choice["finish_reason"] == "error")


def test_stream_of_which_one_choice_fails_goes_on_with_the_others(failing_server: RunningServer) -> None:
    fields: dict[str, Any] = {"n": 8, "temperature": 1.0, "random_seed": 1, "max_tokens": 40, "min_tokens": 40}
    with failing_server.client() as client:
        response = client.post(CHAT, json=body(**fields, stream=True))
    *events, done = data_of(response)
    assert done == "[DONE]"
    finished = {
        choice["index"]: choice["finish_reason"]
        for event in events
        for choice in json.loads(event)["choices"]
        if choice["finish_reason"]
    }
    whole = answer(failing_server, **fields)["choices"]
    assert finished == {choice["index"]: choice["finish_reason"] for choice in whole}


def test_failures_do_not_touch_requests_beside_them(failing_server: RunningServer) -> None:
    fields: dict[str, Any] = {"n": 4, "temperature": 0.0, "max_tokens": 1}
    expected = texts(answer(failing_server, **fields))
    with ThreadPoolExecutor(16) as threads:
        hopeless = [threads.submit(ask, failing_server, text=HOPELESS) for _ in range(8)]
        good = [threads.submit(ask, failing_server, **fields) for _ in range(8)]
    assert [request.result().status_code for request in hopeless] == [500] * 8
    assert [texts(request.result().json()) for request in good] == [expected] * 8
