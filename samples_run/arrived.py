"""Comparison of a request that arrived with the call that a program was written for."""

import json
from collections.abc import Mapping
from datetime import datetime
from email import message_from_bytes
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl, unquote

from pydantic import BaseModel

from ponant.api.chat import ChatCompletionRequest
from ponant.api.embeddings import EmbeddingRequest
from ponant.api.fim import FIMCompletionRequest
from ponant.api.fine_tuning import JobIn, UpdateFTModelIn
from ponant.samples.call import ApiCall, field_text
from samples_run.shelf import CONTENT
from samples_run.tape import Arrival

_TYPES: Mapping[str, type[BaseModel]] = {
    "chat": ChatCompletionRequest,
    "fim": FIMCompletionRequest,
    "embeddings": EmbeddingRequest,
}
"""Types of bodies by the first part of the path."""
_DEFAULTS = {
    "page": "0",
    "page_size": "100",
    "include_total": "true",
    "created_by_me": "false",
    "expiry": "24",
    "visibility": "workspace",
}
"""Values that the clients send for parameters that are not given."""
_TIMES = ("created_after", "created_before")


def assert_arrived(arrival: Arrival, call: ApiCall, *, client: bool) -> None:
    """Check that a request is that of a call.

    Args:
        arrival: the request.
        call: the call.
        client: True for programs with a client of the API, which sends defaults for fields that were not given.
    """
    assert arrival.method == call.method
    assert unquote(arrival.path).removeprefix("/nim") == unquote(call.path)
    if call.form:
        fields, name, content = _form(arrival)
        assert _without_defaults(fields, call.form.fields, client=client) == _texts(call.form.fields)
        assert (name.replace("%22", '"'), content) == (call.form.file_name, CONTENT)
    elif call.body is not None:
        assert arrival.headers["content-type"].startswith("application/json")
        sent = json.loads(arrival.body)
        assert sent == call.body or (client and _parsed(arrival, sent) == _parsed(arrival, call.body))
    else:
        assert arrival.body == b""
    given: dict[str, list[str]] = {}
    for name, value in parse_qsl(arrival.query, keep_blank_values=True):
        given.setdefault(name, []).append(value)
    assert _times(_without_defaults(given, call.query, client=client)) == _times(_texts(call.query))


def _texts(values: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        name: [field_text(item) for item in (value if isinstance(value, list) else [value])]
        for name, value in values.items()
    }


def _without_defaults(sent: dict[str, list[str]], given: Mapping[str, Any], *, client: bool) -> dict[str, list[str]]:
    if not client:
        return sent
    return {name: values for name, values in sent.items() if name in given or values != [_DEFAULTS.get(name)]}


def _times(query: dict[str, list[str]]) -> dict[str, list[Any]]:
    return {
        name: [datetime.fromisoformat(value) if name in _TIMES else value for value in values]
        for name, values in query.items()
    }


def _parsed(arrival: Arrival, body: Any) -> BaseModel:
    first = arrival.path.removeprefix("/nim").split("/")[2]
    kind = _TYPES.get(first) or (JobIn if "jobs" in arrival.path else UpdateFTModelIn)
    return kind.model_validate(body)


def _form(arrival: Arrival) -> tuple[dict[str, list[str]], str, bytes]:
    """Return the fields of a form, and the name and the content of its file."""
    head = f"Content-Type: {arrival.headers['content-type']}\r\n\r\n".encode()
    fields: dict[str, list[str]] = {}
    file = ("", b"")
    parts: list[Message] = message_from_bytes(head + arrival.body).get_payload()  # type: ignore[assignment]
    for part in parts:
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if name == "file":
            file = (part.get_filename() or "", content)
        else:
            fields.setdefault(name, []).append(content.decode())
    return fields, *file
