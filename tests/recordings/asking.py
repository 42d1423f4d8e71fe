"""Named requests and their recorded answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.recordings.normal import normal_events, normal_json, normal_text, shortened

_VOLATILE = ("content-length", "date", "last-modified", "transfer-encoding", "connection", "keep-alive")
_LINE = 110
"""Maximum line length of recorded JSON, in characters."""


@dataclass(frozen=True)
class Ask:
    """Request.

    Attributes:
        line: method and path.
        json: the body, or None.
        headers: additional headers.
        options: further arguments of ``httpx2.Client.request``.
    """

    line: str
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def send(self, client: httpx2.Client) -> httpx2.Response:
        """Return the response, read to its end."""
        method, _, path = self.line.partition(" ")
        body = {} if self.json is None else {"json": self.json}
        return client.request(method, path, headers=dict(self.headers), **body, **self.options)


def answers(client: httpx2.Client, asked: Mapping[str, Ask]) -> dict[str, str]:
    """Send requests one after the other; return requests with their answers by name."""
    return {name: exchange(ask, ask.send(client)) for name, ask in asked.items()}


def exchange(ask: Ask, response: httpx2.Response) -> str:
    """Return a request and its answer as text; lines of the request begin with ``>``."""
    sent = [f"> {ask.line}", *(f"> {name}: {value}" for name, value in ask.headers.items())]
    if ask.json is not None:
        sent.append(f"> {json.dumps(shortened(ask.json), ensure_ascii=False)}")
    sent += [f"> {name}={shortened(value)!r}" for name, value in ask.options.items()]
    status = [str(response.status_code), *_headers(response)]
    return "\n".join([*(normal_text(line) for line in sent), *status, *_body(response)])


def _headers(response: httpx2.Response) -> list[str]:
    headers = {name: normal_text(value) for name, value in response.headers.items() if name not in _VOLATILE}
    if "x-request-id" in headers:
        assert len(headers["x-request-id"]) == 32
        headers["x-request-id"] = "<id>"
    if "content-security-policy" in headers:  # a page, whose tag changes with every edit
        headers.pop("etag", None)
    return [f"{name}: {value}" for name, value in sorted(headers.items())]


def _body(response: httpx2.Response) -> list[str]:
    kind = response.headers.get("content-type", "").partition(";")[0]
    if not response.content:
        return []
    if kind == "application/json":
        return [_written(normal_json(response.json()))]
    if kind == "text/event-stream":
        return _events(response.text)
    return [f"<{len(response.content)} bytes>" if kind == "application/octet-stream" else f"<{kind}>"]


def _written(value: Any, indent: str = "") -> str:
    """Return JSON with line breaks only in parts that are too long for one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent + line) <= _LINE or not isinstance(value, dict | list):
        return line
    inner = f"{indent}  "
    if isinstance(value, list):
        parts = [_written(part, inner) for part in value]
        return ",\n".join([f"[\n{inner}{parts[0]}", *(f"{inner}{part}" for part in parts[1:])]) + f"\n{indent}]"
    parts = [f"{json.dumps(key)}: {_written(part, inner)}" for key, part in value.items()]
    return ",\n".join([f"{{\n{inner}{parts[0]}", *(f"{inner}{part}" for part in parts[1:])]) + f"\n{indent}}}"


def _events(stream: str) -> list[str]:
    """Return the lines of a stream, with its events in normal form."""
    *events, rest = stream.split("\n\n")
    assert not rest, "the last event is whole"
    data = [event.removeprefix("data: ") for event in events]
    objects = normal_events([json.loads(text) for text in data if text.startswith("{")])
    written = [json.dumps(event, ensure_ascii=False) for event in objects]
    return [f"data: {text}" for text in (*written, *(text for text in data if not text.startswith("{")))]
