"""Frames of streams: prepared events are those that a whole chunk would have."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ponant.completion.answer import Answer, TextPiece
from ponant.completion.joined import JoinedCompletions
from ponant.engine.base import Delta
from ponant.prompts.answer.output_format import OutputFormat, Thinking
from ponant.server.dialects.base import MISTRAL, Dialect, DialectExchange
from ponant.server.dialects.mistral import EARLY_MISTRAL
from ponant.server.dialects.nim import NIM
from ponant.server.dialects.openai import CHAT, OPENAI, TEXT
from ponant.server.frames import Frames, framed
from tests.completion.completions import completion
from tests.in_process import serving_scripted

WRITERS: dict[str, tuple[Dialect, str, dict[str, Any]]] = {
    "mistral": (MISTRAL, CHAT, {}),
    "early mistral": (EARLY_MISTRAL, CHAT, {}),
    "openai": (OPENAI, CHAT, {}),
    "openai with usage": (OPENAI, CHAT, {"stream_options": {"include_usage": True}}),
    "openai's texts": (OPENAI, TEXT, {"echo": True}),
    "nim": (NIM, CHAT, {}),
}
HOSTILE = st.one_of(
    st.text(min_size=1),
    st.text("\"\\/\b\f\n\r\t\0\x1f\x7f\x85\u2028\u2029\ufeff\uffff\U0001f600d0c5{}:,'", min_size=1),
    st.sampled_from(["d0c5bd2c8f5b4d0c9f0c2b9f6a0d5c1e", "data: [DONE]\n\n", '"}}]}', "\\u2028", "é́"]),
)


@pytest.mark.parametrize(("dialect", "path", "body"), WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("thinking", [None, Thinking("<think>", "</think>")], ids=["text", "thinking"])
def test_prepared_event_is_that_of_a_whole_chunk(
    tiny_model: Path, dialect: Dialect, path: str, body: dict[str, Any], thinking: Thinking | None
) -> None:
    made, _ = asyncio.run(completion(tiny_model, seeds=[1, 2], output_format=OutputFormat(thinking=thinking)))
    exchange = DialectExchange(path, dialect, fingerprint="fp", body=body)
    is_thought = st.booleans() if thinking else st.just(False)
    joined = JoinedCompletions([made, made], choices=2)
    written: list[tuple[Answer, Frames, int]] = [
        (made, Frames(made, exchange.answers), 0),
        (joined, Frames(joined, exchange.answers), 2),
    ]

    @settings(max_examples=60, deadline=None)
    @given(st.builds(TextPiece, st.integers(0, 1), HOSTILE, is_thought))
    def check(piece: TextPiece) -> None:
        for answer, frames, first in written:
            piece = structs.replace(piece, choice=piece.choice + first)
            events = exchange.answers.events(answer.chunk_of(piece))
            assert frames.of_text(piece) == b"".join(framed(exchange.answers, event) for event in events)

    check()


def test_model_whose_name_is_the_mark_gets_whole_chunks(tiny_model: Path) -> None:
    made, _ = asyncio.run(completion(tiny_model))
    made.model = "d0c5bd2c8f5b4d0c9f0c2b9f6a0d5c1e"
    event = Frames(made, DialectExchange().answers).of_text(TextPiece(0, "Hello", False))
    chunk = json.loads(event.removeprefix(b"data: "))
    assert (chunk["model"], chunk["choices"][0]["delta"]) == (made.model, {"content": "Hello"})


def test_client_that_reads_late_gets_all_events_in_order(tiny_model: Path) -> None:
    rounds, choices = 1200, 16
    words: list[list[int]] = []

    def script(_: object) -> Iterator[Delta]:
        for number in range(rounds):
            for choice in range(choices):
                yield Delta(choice, words[number % 3])

    with serving_scripted(tiny_model, engine={"context": 2**20, "usual": script}) as server:
        words += [server.engine.tokens(f" {word}") for word in ("one", "two", "three")]
        text = "".join(map(server.engine.text, words)) * (rounds // 3)
        body = {"messages": [{"role": "user", "content": "Hello"}], "n": choices, "stream": True}
        with server.client() as client, client.stream("POST", CHAT, json=body) as response:
            assert server.engine.generations[0].running, "the connection holds the whole answer"
            events = b"".join(response.iter_bytes()).split(b"\n\n")
    chunks = [json.loads(event[6:]) for event in events if event.startswith(b"data: {")]
    found = [""] * choices
    for chunk in chunks[1:]:
        for choice in chunk["choices"]:
            found[choice["index"]] += choice["delta"]["content"]
    assert found == [text] * choices
    assert chunks[-1]["usage"]["completion_tokens"] == sum(map(len, words)) * rounds // 3 * choices
