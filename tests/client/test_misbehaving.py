"""Calls to misbehaving servers raise the right error, end in time, and close their connection."""

import asyncio
import gzip
import json
import os
import socket
from codecs import BOM_UTF8
from typing import Any

import pytest
from pydantic import BaseModel

from ponant import Mistral, models
from tests.client.misbehaving import (
    ANSWER,
    CHUNK,
    DONE,
    Behaviour,
    Server,
    event,
    head,
    misbehaving,
    reset,
    respond,
    send,
    stream,
    then_drip,
    then_silence,
)
from tests.client.ways import Way

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
CHUNKED = {"content-type": "application/json", "transfer-encoding": "chunked"}
BIG = "x" * 20 * 2**20
ERROR = {"object": "error", "message": "It broke.", "type": "completion_failed", "param": None, "code": "3500"}


def finished(index: int = 0) -> bytes:
    """Return the last event of an answer."""
    choice = {"index": index, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    return event(CHUNK | {"choices": [choice]})


FINISHED = finished()


class Hello(BaseModel):
    to: str


WHOLE: dict[str, tuple[Behaviour, type[Exception], str]] = {
    "no response": (send(), models.ConnectionLostError, "ended before"),
    "a reset": (reset, models.ConnectionLostError, "ended before"),
    "no HTTP": (send(b"SSH-2.0-OpenSSH_9.6\r\n"), models.ConnectionLostError, "ended before"),
    "half a body": (
        send(head(200, {"content-type": "application/json", "content-length": "500"}), b'{"id": '),
        models.ConnectionLostError,
        "ended before",
    ),
    "half a chunked body": (send(head(200, CHUNKED), b'5\r\n{"id"\r\n'), models.ConnectionLostError, "ended before"),
    "silence": (then_silence(send()), models.RequestTimeoutError, "timeout_ms"),
    "silence after the head": (
        then_silence(send(head(200, {"content-type": "application/json", "content-length": "500"}))),
        models.RequestTimeoutError,
        "timeout_ms",
    ),
    "slow bytes": (then_drip(send(head(200, CHUNKED)), b"1\r\n \r\n"), models.RequestTimeoutError, "timeout_ms"),
    "slow bytes in an error": (
        then_drip(send(head(500, CHUNKED)), b"1\r\n \r\n"),
        models.RequestTimeoutError,
        "timeout_ms",
    ),
    "no JSON": (respond(200, "{'id': 1}"), models.ResponseValidationError, "cannot be read"),
    "JSON of another shape": (respond(200, {"hello": "world"}), models.ResponseValidationError, "choices"),
    "no UTF-8": (respond(200, b'{"id": "\xff\xfe"}'), models.ResponseValidationError, "cannot be read"),
    "an empty body": (respond(200), models.ResponseValidationError, "cannot be read"),
    "another content type": (respond(200, "<html>", kind="text/html"), models.SDKError, "text/html"),
    "no content type": (send(head(200, {"connection": "close"})), models.SDKError, "no content type"),
    "a stream": (stream(event(), DONE), models.SDKError, "chat.stream"),
    "a stream without end": (then_silence(stream(event())), models.SDKError, "chat.stream"),
    "no such path": (respond(404, "no"), models.SDKError, "with this API"),
    "another success": (respond(204), models.SDKError, "204"),
    "a redirect to nowhere": (respond(302, location="/v1/chat/completions"), models.ClientError, "redirect"),
    "a 422 of another form": (respond(422, {"detail": "No."}), models.SDKError, "No."),
    "a 422 that is no JSON": (respond(422, "no"), models.SDKError, "no"),
    "an error page": (respond(502, "<html>Bad gateway", kind="text/html"), models.SDKError, "Bad gateway"),
    "a long error page": (respond(502, BIG, kind="text/html"), models.SDKError, "more characters"),
    "broken compression": (respond(200, b"no gzip", content_encoding="gzip"), models.ConnectionLostError, "decoded"),
}

STREAMED: dict[str, tuple[Behaviour, type[Exception], str]] = {
    **{
        name: WHOLE[name]
        for name in ("no response", "a reset", "no HTTP", "silence", "slow bytes in an error", "another content type")
    },
    "a stream that ends early": (stream(event()), models.ConnectionLostError, "complete"),
    "a chunked stream that is cut after its finish reason": (
        send(
            head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}),
            f"{len(FINISHED):x}\r\n".encode() + FINISHED + b"\r\n",
        ),
        models.ConnectionLostError,
        "ended before",
    ),
    "an empty stream": (stream(), models.ConnectionLostError, "complete"),
    "half an event": (stream(event(), event()[:20]), models.ConnectionLostError, "complete"),
    "a broken chunked stream": (
        send(head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}), b"50\r\ndata: "),
        models.ConnectionLostError,
        "ended before",
    ),
    "garbage": (stream(b"\x00\x01 garbage\r\r\n\n: \xff\n\n" * 100), models.ConnectionLostError, "complete"),
    "an event that is no JSON": (stream(b"data: {oops\n\n"), models.ResponseValidationError, "event"),
    "an event of another shape": (stream(event({"hello": "world"})), models.ResponseValidationError, "event"),
    "an error": (stream(event(), event(ERROR)), models.StreamError, "It broke."),
    "a named error": (stream(event(), b"event: error\n" + event(ERROR)), models.StreamError, "It broke."),
    "a line of 20 MB that is no JSON": (stream(event(BIG)), models.ResponseValidationError, "event"),
    "a line of 70 MB": (stream(event(BIG + BIG + BIG + BIG[: 10 * 2**20])), models.ResponseValidationError, "limit"),
    "silence within a stream": (then_silence(stream(event())), models.RequestTimeoutError, "next event"),
    "slow bytes within a stream": (then_drip(stream(event()), b"d"), models.RequestTimeoutError, "next event"),
    "nothing but comments": (then_drip(stream(event()), b": alive\n\n"), models.RequestTimeoutError, "next event"),
    "JSON": (respond(200, ANSWER), models.SDKError, "chat.complete"),
    "another content type without end": (
        then_silence(stream(b"<html>", kind="text/html")),
        models.SDKError,
        "text/html",
    ),
}


@pytest.fixture(params=["sync", "async"], scope="module")
def way(request: pytest.FixtureRequest) -> Way:
    return Way(Mistral(timeout_ms=20_000), asynchronous=request.param == "async", in_process=False)


def fails(way: Way, operation: str, behaviour: Behaviour, kind: type[Exception], said: str) -> None:
    """The call raises the error, and the client closes its connection, which the server waits for."""
    timeout = 300 if kind is models.RequestTimeoutError else None
    with misbehaving(behaviour) as server, pytest.raises(kind, match=said) as caught:
        way.call(operation, server_url=server.url, timeout_ms=timeout, **REQUEST)
    assert isinstance(caught.value, models.ClientError)


@pytest.mark.parametrize("case", WHOLE)
def test_an_answer_that_is_none_is_the_right_error(way: Way, case: str) -> None:
    fails(way, "chat.complete", *WHOLE[case])


@pytest.mark.parametrize("case", STREAMED)
def test_a_stream_that_is_none_is_the_right_error(way: Way, case: str) -> None:
    fails(way, "chat.stream", *STREAMED[case])


GOOD = {
    "events in pieces of a byte": stream(*(bytes([byte]) for byte in event() + event() + DONE)),
    "other line ends": stream((event() + event() + DONE).replace(b"\n", b"\r\n")),
    "comments and unknown fields": stream(
        b": hello\n\nid: 7\nretry: 10\nx: y\n" + event(), b"\n\n:\n\n", event(), DONE
    ),
    "unknown kinds of events": stream(b"event: ping\ndata: {}\n\n", event(), event(), DONE),
    "data over two lines": stream(event().replace(b', "choices"', b',\ndata: "choices"'), event(), DONE),
    "no end after the last event": then_silence(stream(event(), event(), DONE)),
    "a byte order mark": stream(BOM_UTF8 + event(), event(), DONE),
    "a byte order mark in pieces": stream(*(bytes([byte]) for byte in BOM_UTF8), event() + event() + DONE),
    "another encoding in the header": stream(event(), event(), DONE, kind="text/event-stream; charset=utf-16"),
    "a finish reason without [DONE]": stream(event(), FINISHED),
    "a finish reason and usage without [DONE]": stream(event(), FINISHED, event(CHUNK | {"choices": []})),
    "events after the last one": stream(event(), event(), DONE, event(), b"garbage"),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_stream_that_is_odd_but_right_is_read(way: Way, case: str) -> None:
    with misbehaving(GOOD[case]) as server:
        events = way.call("chat.stream", server_url=server.url, **REQUEST)
    assert [choice.delta.content for event in events for choice in event.data.choices] == ["Hi", "Hi"]


def test_a_finish_reason_for_every_answer_is_the_end_of_every_kind_of_stream(way: Way) -> None:
    with misbehaving(stream(finished(1), finished(0))) as server:
        assert len(way.call("chat.stream", server_url=server.url, n=2, **REQUEST)) == 2
    with misbehaving(stream(FINISHED)) as server:
        assert len(way.call("fim.stream", server_url=server.url, model="m", prompt="a")) == 1
        hello = event(
            CHUNK | {"choices": [{"index": 0, "delta": {"content": '{"to": "you"}'}, "finish_reason": "stop"}]}
        )
    with misbehaving(stream(hello)) as server:
        assert len(way.call("chat.parse_stream", response_format=Hello, server_url=server.url, **REQUEST)) == 1
    with misbehaving(stream(finished(1))) as server, pytest.raises(models.ConnectionLostError):
        way.call("chat.stream", server_url=server.url, n=2, **REQUEST)


def test_a_byte_order_mark_in_whole_answers_is_ignored(way: Way) -> None:
    with misbehaving(respond(200, BOM_UTF8 + json.dumps(ANSWER).encode())) as server:
        assert way.call("chat.complete", server_url=server.url, **REQUEST).id == "cmpl-1"
    refusal = respond(400, BOM_UTF8 + json.dumps(ERROR).encode())
    with misbehaving(refusal) as server, pytest.raises(models.SDKError, match=r"^It broke \(status 400"):
        way.call("chat.complete", server_url=server.url, **REQUEST)


def test_a_line_of_20_mb_is_read(way: Way) -> None:
    choice = {"index": 0, "delta": {"content": BIG}, "finish_reason": None}
    with misbehaving(stream(event(CHUNK | {"choices": [choice]}), DONE)) as server:
        (only,) = way.call("chat.stream", server_url=server.url, **REQUEST)
    assert only.data.choices[0].delta.content == BIG


def test_a_compressed_answer_is_read(way: Way) -> None:
    body = gzip.compress(json.dumps(ANSWER).encode())
    with misbehaving(respond(200, body, content_encoding="gzip", kind="application/json; charset=utf-8")) as server:
        assert way.call("chat.complete", server_url=server.url, **REQUEST).choices[0].message.content == "Hi"


def test_a_redirect_is_followed(way: Way) -> None:
    with misbehaving(respond(200, ANSWER)) as server, misbehaving(respond(307, location=server.url)) as first:
        assert way.call("chat.complete", server_url=first.url, **REQUEST).id == "cmpl-1"
        assert json.loads(server.requests[0].partition(b"\r\n\r\n")[2])["model"] == "m"


def test_nobody_listens(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for operation in ("chat.complete", "chat.stream"):
        with pytest.raises(models.ConnectError, match="ponant serve") as caught:
            way.call(operation, server_url=url, **REQUEST)
        assert isinstance(caught.value, ConnectionError)
        assert url in str(caught.value)


def test_leaving_a_stream_early_closes_its_connection() -> None:
    with Mistral() as mistral, misbehaving(then_silence(stream(event()))) as server:
        with mistral.chat.stream(server_url=server.url, **REQUEST) as events:
            next(events)
        with pytest.raises(StopIteration):
            next(events)
        for _ in mistral.chat.stream(server_url=server.url, **REQUEST):
            break  # the stream is no longer referenced
        events = mistral.chat.stream(server_url=server.url, **REQUEST)
        del events


async def test_leaving_an_async_stream_early_closes_its_connection() -> None:
    async with Mistral() as mistral:
        with misbehaving(then_silence(stream(event()))) as server:
            async with await mistral.chat.stream_async(server_url=server.url, **REQUEST) as events:
                await anext(events)
            with pytest.raises(StopAsyncIteration):
                await anext(events)


async def test_an_async_stream_that_nobody_holds_any_more_closes_its_connection() -> None:
    async with Mistral() as mistral:
        server = Server(then_silence(stream(event())))
        async for _ in await mistral.chat.stream_async(server_url=server.url, **REQUEST):
            break
        unread = await mistral.chat.stream_async(server_url=server.url, **REQUEST)
        unread_objects = await mistral.chat.parse_stream_async(Hello, server_url=server.url, **REQUEST)
        del unread, unread_objects
        await asyncio.to_thread(server.close)


@pytest.mark.parametrize("how", ["at the end of the loop", "by close", "as nobody holds the client any more"])
def test_async_connections_are_closed(how: str) -> None:
    """The server keeps the connection alive and waits for the client to close it."""
    server = Server(then_silence(respond(200, ANSWER, connection="keep-alive")))
    shared = Mistral()

    async def ask() -> None:
        mistral = Mistral() if "nobody" in how else shared
        await mistral.chat.complete_async(server_url=server.url, **REQUEST)
        if "close" in how:
            mistral.close()
        del mistral
        if "loop" not in how:
            await asyncio.to_thread(server.close)

    asyncio.run(ask())
    if "loop" in how:
        server.close()


def test_a_fork_has_connections_of_its_own() -> None:
    def keep_open(connection: socket.socket) -> None:
        respond(200, ANSWER, connection="keep-alive")(connection)
        if connection.recv(65536):
            respond(200, ANSWER | {"id": "from its parent's connection"})(connection)

    with Mistral() as mistral, misbehaving(keep_open, respond(200, ANSWER | {"id": "cmpl-2"})) as server:
        assert mistral.chat.complete(server_url=server.url, **REQUEST).id == "cmpl-1"
        child = os.fork()
        if not child:
            os._exit(0 if mistral.chat.complete(server_url=server.url, **REQUEST).id == "cmpl-2" else 1)
        assert os.waitpid(child, 0)[1] == 0
        mistral.close()


def test_an_exception_in_the_users_code_closes_the_connection() -> None:
    def read(mistral: Mistral, url: str) -> None:
        with mistral.chat.stream(server_url=url, **REQUEST) as events:
            for _ in events:
                raise ZeroDivisionError

    with Mistral() as mistral, misbehaving(then_silence(stream(event()))) as server, pytest.raises(ZeroDivisionError):
        read(mistral, server.url)
