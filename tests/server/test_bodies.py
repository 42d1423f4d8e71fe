"""Bodies that are not JSON: what the error says."""

import gzip
import json
import zlib
from typing import Any

import pytest

from tests.chatting import CHAT, assert_error, body
from tests.in_process import ScriptedServer

JSON = {"content-type": "application/json"}
PATHS = {
    CHAT: ("detail", 422),
    "/v1/embeddings": ("detail", 422),
    "/v1/fim/completions": ("detail", 422),
    "/v1/fine_tuning/jobs": ("detail", 422),
    f"/nim{CHAT}": ("detail", 422),
    f"/openai{CHAT}": ("error", 400),
    "/v1/completions": ("error", 400),
}
GOOD = json.dumps(body()).encode()
BROKEN = {
    "a trailing comma": (b'{"a": 1,\n}', "trailing comma", (2, 1)),
    "single quotes": (b"{'a': 1}", "double quotes", (1, 2)),
    "bare keys": (b"{\n\n a: 1}", "double quotes", (3, 2)),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, "byte order mark", (1, 1)),
    "UTF-16": (GOOD.decode().encode("utf-16"), "UTF-16", (1, 1)),
    "UTF-16 without a mark": (GOOD.decode().encode("utf-16-be"), "UTF-16", (1, 1)),
    "UTF-32": (GOOD.decode().encode("utf-32"), "UTF-32", (1, 1)),
    "Latin-1": ('{"a": "\xe9"}'.encode("latin-1"), "UTF-8", (1, 8)),
    "an escaped lone surrogate": (b'{"a": "\\ud800"}', "surrogate", (1, 14)),
    "a raw lone surrogate": ('{"a": "\ud800"}'.encode("utf-8", "surrogatepass"), "UTF-8", (1, 8)),
    "not a number": (b'{"a": NaN}', "expected value", (1, 7)),
    "Python's constants": (b'{"a": True}', "expected value", (1, 7)),
    "a cut text": (b'{"a": [', "EOF", (1, 7)),
    "a raw newline": (b'{"a":\n "\n"}', "control character", (2, 3)),
    "two values": (b"{} {}", "trailing characters", (1, 4)),
    "deep nesting": (b"[" * 1000, "nested", (1, 202)),
    "a form": (b"a=b&c=d", "expected value", (1, 1)),
    "spaces": (b"   ", "EOF", (1, 3)),
}


def reason(response: Any, path: str) -> tuple[str, Any]:
    """Return the message of an error and the place that it names."""
    shape, status = PATHS[path]
    assert response.status_code == status, response.text
    told = response.json()
    if shape == "error":
        return told["error"]["message"], told["error"]["param"]
    (detail,) = told["detail"]
    return detail["msg"], detail["loc"]


@pytest.mark.parametrize(("content", "expected", "place"), BROKEN.values(), ids=BROKEN)
def test_broken_json_is_told_with_reason_line_and_column(
    scripted_server: ScriptedServer, content: bytes, expected: str, place: tuple[int, int]
) -> None:
    with scripted_server.client() as client:
        for path, (shape, _) in PATHS.items():
            message, location = reason(client.post(path, content=content, headers=JSON), path)
            assert expected in message
            assert "(line {}, column {})".format(*place) in message
            assert location == (["body"] if shape == "detail" else None)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([], "The body is a list"),
        ("text", "The body is a string"),
        (1, "The body is a number"),
        (True, "a boolean"),
        (GOOD.decode(), "twice"),
    ],
)
def test_body_that_is_no_object_is_told_as_such(scripted_server: ScriptedServer, sent: object, expected: str) -> None:
    with scripted_server.client() as client:
        for path in PATHS:
            message, _ = reason(client.post(path, json=sent), path)
            assert expected in message
            assert "must be a JSON object" in message


@pytest.mark.parametrize(
    "kind", [None, "application/x-www-form-urlencoded", "text/plain", "text/json", "json", "a/b/c"]
)
def test_wrong_content_type_is_named(scripted_server: ScriptedServer, kind: str | None) -> None:
    with scripted_server.client() as client:
        for path, (shape, _) in PATHS.items():
            response = client.post(path, content=GOOD, headers={"content-type": kind} if kind else {})
            message, location = reason(response, path)
            assert "Content-Type" in message
            assert "application/json" in message
            assert (kind or "missing") in message
            assert location == (["header", "content-type"] if shape == "detail" else None)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"])
def test_other_names_of_json_are_accepted(scripted_server: ScriptedServer, kind: str) -> None:
    with scripted_server.client() as client:
        assert client.post(CHAT, content=GOOD, headers={"content-type": kind}).status_code == 200
        assert client.post(CHAT, content=GOOD, headers=JSON | {"content-encoding": "identity"}).status_code == 200


@pytest.mark.parametrize("path", [CHAT, f"/openai{CHAT}", "/v1/embeddings", "/v1/files", "/v1/fine_tuning/jobs"])
@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "gzip, identity", "GZIP"])
def test_compressed_body_gets_415(scripted_server: ScriptedServer, path: str, encoding: str) -> None:
    with scripted_server.client() as client:
        response = client.post(path, content=gzip.compress(GOOD), headers=JSON | {"content-encoding": encoding})
    assert response.status_code == 415
    assert response.headers["accept-encoding"] == "identity"
    assert f"compressed with {encoding.lower()}" in response.text


@pytest.mark.parametrize(
    ("content", "name"),
    [(gzip.compress(GOOD, mtime=0), "gzip"), *((zlib.compress(GOOD, level), "deflate") for level in (1, 3, 6, 9))],
    ids=["gzip", *(f"deflate {level}" for level in (1, 3, 6, 9))],
)
def test_compressed_body_that_is_not_announced_gets_415(
    scripted_server: ScriptedServer, content: bytes, name: str
) -> None:
    with scripted_server.client() as client:
        message = assert_error(client.post(CHAT, content=content, headers=JSON), 415, "unsupported_content_encoding")
        assert name in message
        assert client.post(f"/openai{CHAT}", content=content, headers=JSON).json()["error"]["message"] == message


def test_missing_body_is_told_as_such(scripted_server: ScriptedServer) -> None:
    with scripted_server.client() as client:
        for path in PATHS:
            for headers in ({}, JSON):
                assert reason(client.post(path, headers=headers), path)[0] == "Field required"
