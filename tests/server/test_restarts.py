"""Requests whose engine dies: they begin again unless their clients have a part of the answer."""

import json
from typing import Any

import pytest

from ponant.engine.base import Delta
from ponant.errors import EngineUnavailableError, RequestRefusedError
from tests.chatting import CHAT, assert_ended_by_error, body, data_of
from tests.in_process import ScriptedServer
from tests.scripted_engine import Restart, Script

FIM = "/v1/fim/completions"
TEXT = "/v1/completions"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: body(max_tokens=50),
    f"/openai{CHAT}": body(max_tokens=50),
    FIM: {"prompt": "a", "max_tokens": 50},
    TEXT: {"prompt": "a", "max_tokens": 50},
}


def seen(server: ScriptedServer, path: str, *scripts: Script, **fields: Any) -> list[str]:
    """Return the texts of an answer to a request that plays scripts."""
    for script in scripts:
        server.call(server.engine.play, *script)
    with server.client() as client, client.stream("POST", path, json=BODIES[path] | fields) as response:
        if not fields.get("stream"):
            choices = json.loads(response.read())["choices"]
            return [choice.get("text") or choice["message"]["content"] for choice in choices]
        return list(data_of(response))


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("before", [(), ("Good", " bye")])
def test_whole_answer_has_only_the_last_run(scripted_server: ScriptedServer, path: str, before: Script) -> None:
    script = (*before, Restart(), "Hel", Restart(), "Hello", " you")
    assert seen(scripted_server, path, script) == ["Hello you"]


def test_choices_that_had_ended_begin_again_with_the_others(scripted_server: ScriptedServer) -> None:
    script = (Delta(0, [], "stop"), Restart(), "Hello")
    assert seen(scripted_server, CHAT, script, n=2) == ["Hello", "Hello"]


@pytest.mark.parametrize("path", BODIES)
def test_stream_without_a_piece_begins_again(scripted_server: ScriptedServer, path: str) -> None:
    plain = seen(scripted_server, path, ("Hello",), stream=True)
    assert "[DONE]" in plain
    told = seen(scripted_server, path, (Restart(), "Hello"), stream=True)
    assert len(told) == len(plain)
    held = seen(scripted_server, path, ("He", Restart(), "Hello"), stream=True, stop=["Heaven"])
    assert len(held) == len(plain)


def test_stream_with_a_piece_ends_with_an_error(scripted_server: ScriptedServer) -> None:
    assert_ended_by_error(seen(scripted_server, CHAT, ("Hello", Restart(), "Hello"), stream=True), "unavailable")


def test_restart_that_fails_is_an_error(scripted_server: ScriptedServer) -> None:
    server = scripted_server
    server.call(server.engine.play, Restart(), EngineUnavailableError("the engine cannot be restarted"))
    with server.client() as client:
        assert client.post(CHAT, json=body()).status_code == 503


@pytest.mark.parametrize("path", BODIES)
def test_request_that_the_engine_died_of_twice_is_refused(scripted_server: ScriptedServer, path: str) -> None:
    scripted_server.call(scripted_server.engine.play, Restart(), RequestRefusedError())
    with scripted_server.client() as client:
        response = client.post(path, json=BODIES[path])
    assert response.status_code == 500
    assert response.headers["x-should-retry"] == "false"
    assert "request_refused" in response.text
    assert "ended twice while it computed this request" in response.text
