"""The scripted engine behaves like a real one where tests rely on it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.engine.base import Delta
from ponant.errors import EngineUnavailableError, QueueFullError
from tests.chatting import CHAT, answer, ask, assert_ended_by_error, assert_error, body, data_of, events, streamed_texts
from tests.in_process import ScriptedServer, serving_scripted
from tests.scripted_engine import End, Gate, Pause, Refusal
from tests.serving import wait_until


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[ScriptedServer]:
    with serving_scripted(tiny_model, request_timeout=20) as server:
        yield server


def test_script_is_the_answer_and_the_prompt_is_recorded(server: ScriptedServer) -> None:
    server.engine.play("One ", "two", Pause(0.01), " three.")
    response = answer(server, text="Count", max_tokens=None)
    (choice,) = response["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("One two three.", "stop")
    assert server.engine.prompts[-1] == "<|im_start|>user\nCount<|im_end|>\n<|im_start|>assistant\n"
    tokens = sum(len(server.engine.tokens(text)) for text in ("One ", "two", " three."))
    assert response["usage"]["completion_tokens"] == tokens
    assert answer(server)["choices"][0]["message"]["content"] == "Hello world"


def test_every_choice_plays_the_script_unless_a_delta_names_one(server: ScriptedServer) -> None:
    server.engine.play("a", Delta(1, server.engine.tokens("b"), "stop"), "c", End("length"))
    choices = answer(server, n=2)["choices"]
    assert [choice["message"]["content"] for choice in choices] == ["ac", "ab"]
    assert [choice["finish_reason"] for choice in choices] == ["length", "stop"]


def test_max_tokens_and_the_context_end_a_script(server: ScriptedServer) -> None:
    server.engine.play("x" * 20)
    (choice,) = answer(server, max_tokens=3)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("xxx", "length")
    server.engine.play("x" * 600)
    assert answer(server, max_tokens=None)["choices"][0]["finish_reason"] == "model_length"


def test_refusals_come_at_once_or_late(server: ScriptedServer) -> None:
    for event in (Refusal(QueueFullError("full")), QueueFullError("full")):
        for stream in (False, True):
            server.engine.play(event)
            assert_error(ask(server, stream=stream), 429, "rate_limited")


def test_failures_end_streams(server: ScriptedServer) -> None:
    server.engine.play("Once", EngineUnavailableError("gone"))
    with server.client() as client, client.stream("POST", CHAT, json=body(stream=True)) as response:
        assert_ended_by_error(list(data_of(response)), "unavailable")


def test_gate_holds_a_stream_and_a_client_that_leaves_cancels_it(server: ScriptedServer) -> None:
    gate = Gate()
    server.engine.play("before", gate, "after")
    with server.client() as client, client.stream("POST", CHAT, json=body(stream=True)) as response:
        data = data_of(response)
        assert "before" in next(part for part in data if "before" in part)
        assert gate.reached.wait(10)
        assert server.engine.busy
    wait_until(lambda: not server.engine.busy)
    assert server.engine.generations[-1].cancelled
    gate.open()
    server.engine.play("before", gate, " after")
    assert streamed_texts(events(server)) == ["before after"]


def test_open_gate_lets_a_waiting_request_finish(server: ScriptedServer) -> None:
    gate = Gate()
    server.engine.play(gate, "after")
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(answer(server)["choices"][0]["message"]["content"]))
    thread.start()
    assert gate.reached.wait(10)
    gate.open()
    thread.join(10)
    assert answers == ["after"]


def test_engine_that_is_not_ready_refuses(server: ScriptedServer) -> None:
    server.call(server.engine.become, "restarting", "it died")
    assert "it died" in assert_error(ask(server), 503, "unavailable")
    server.call(server.engine.become, "ready")
    assert answer(server)["choices"][0]["message"]["content"] == "Hello world"
