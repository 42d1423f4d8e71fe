"""Chat completion requests to a server, for tests."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2

from tests.serving import RunningServer

CHAT = "/v1/chat/completions"
ENDLESS: dict[str, Any] = {"max_tokens": 60_000, "min_tokens": 60_000}
"""Fields that make a request to the endless model run for minutes."""


def body(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 12} | fields


def ask(server: RunningServer, **fields: Any) -> httpx2.Response:
    with server.client() as client:
        return client.post(CHAT, json=body(**fields))


def answer(server: RunningServer, **fields: Any) -> dict[str, Any]:
    response = ask(server, **fields)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def texts(response: dict[str, Any]) -> list[str]:
    return [choice["message"]["content"] for choice in response["choices"]]


def events(server: RunningServer, **fields: Any) -> list[dict[str, Any]]:
    """Return the chunks of a stream, which must end with ``[DONE]``."""
    response = ask(server, stream=True, **fields)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    *chunks, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]


def data_of(response: httpx2.Response) -> Iterator[str]:
    """Yield the data of a stream's events as they arrive."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield line.removeprefix("data: ")


def streamed_texts(chunks: list[dict[str, Any]]) -> list[str]:
    texts: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            texts[choice["index"]] = texts.get(choice["index"], "") + choice["delta"]["content"]
    return [texts[index] for index in sorted(texts)]


def assert_ended_by_error(data: list[str], kind: str) -> None:
    """Assert that a stream ends with an error and without ``[DONE]``."""
    error = json.loads(data[-1])
    assert error["object"] == "error", data[-1]
    assert error["type"] == kind
    assert error["message"]
    assert "[DONE]" not in data


def assert_error(response: httpx2.Response, status: int, kind: str) -> str:
    """Assert that the response is an error of the API with a request id; return its message."""
    assert response.status_code == status, response.text
    error = response.json()
    assert error.keys() == {"object", "message", "type", "param", "code"}
    assert (error["object"], error["type"]) == ("error", kind)
    assert_has_id(response)
    message = error["message"]
    assert isinstance(message, str)
    assert message
    return message


def assert_has_id(response: httpx2.Response) -> None:
    assert len(response.headers.get_list("x-request-id")) == 1
    assert len(response.headers["x-request-id"]) == 32
