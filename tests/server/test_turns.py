"""Turns of the event loop: large answers leave it polls in between."""

import asyncio
import selectors
import threading
from pathlib import Path
from typing import Any

import pytest

from ponant.api.chat import ChatCompletionResponse, CompletionChunk
from ponant.completion import turns
from ponant.server import serialization
from tests.in_process import serving_scripted

PROMPTS, CHOICES = 8, 16


class CountingSelector(selectors.DefaultSelector):
    polls = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.polls += 1
        return super().select(timeout)


@pytest.mark.parametrize("stream", [False, True])
def test_each_piece_of_an_answer_may_have_a_turn_of_its_own(
    stream: bool, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selector = CountingSelector()
    with serving_scripted(tiny_model, new_loop=lambda: asyncio.SelectorEventLoop(selector)) as server:
        fields = {"prompt": ["a"] * PROMPTS, "n": CHOICES, "stream": stream}
        with server.client() as client:
            client.post("/v1/completions", json=fields | {"n": 1})
            monkeypatch.setattr(turns, "LONGEST_TURN", 0.0)
            before = selector.polls
            answer = client.post("/v1/completions", json=fields)
        polls = selector.polls - before
    assert answer.is_success, answer.text
    deltas = 2 * PROMPTS * CHOICES
    assert polls >= deltas


@pytest.mark.parametrize("kind", [ChatCompletionResponse, CompletionChunk])
def test_large_answers_are_serialised_in_a_thread(
    kind: type[ChatCompletionResponse | CompletionChunk], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int | None] = set()
    dump = kind.model_dump_json

    def dump_noted(self: Any, **options: Any) -> str:
        threads.add(threading.current_thread().ident)
        return str(dump(self, **options))

    monkeypatch.setattr(kind, "model_dump_json", dump_noted)
    monkeypatch.setattr(serialization, "MOST_TOKENS", 0)
    fields = {
        "messages": [{"role": "user", "content": "a"}],
        "prompt_logprobs": True,
        "stream": kind is CompletionChunk,
    }
    with serving_scripted(tiny_model) as server, server.client() as client:
        client.post("/v1/chat/completions", json=fields).raise_for_status()
        loop = server.call(lambda: threading.current_thread().ident)
    assert threads - {loop}
