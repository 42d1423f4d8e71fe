"""Messages and the deltas of streams add up to the same, for any split of the parts into deltas."""

import itertools
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import hypothesis
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from ponant.api.messages import AssistantMessage, TextChunk, ThinkChunk, ToolCall
from ponant.completion.message import call_ids, delta_message, whole_message
from ponant.completion.parts import Arguments, CallBegun, Part, Text, Thought
from tests.gathering import gathered
from tests.soak import examples


def call_id(index: int) -> str:
    return f"call-{index}"


def delta(*parts: Part, in_chunks: bool = False) -> dict[str, Any]:
    """Return the delta message of parts as JSON."""
    made = delta_message(parts, in_chunks=in_chunks, call_id=call_id)
    sent: dict[str, Any] = made.model_dump(exclude_unset=True)
    return sent


def whole(*parts: Part, prefix: str = "", in_chunks: bool = False) -> AssistantMessage:
    return whole_message(parts, prefix=prefix, in_chunks=in_chunks, call_id=call_id)


def streamed(*deltas: Sequence[Part], in_chunks: bool = False) -> dict[str, Any]:
    """Return the message that clients join from a stream whose deltas have these parts."""
    sent = [{"role": "assistant", "content": ""}, *(delta(*parts, in_chunks=in_chunks) for parts in deltas)]
    *before, last = ({"index": 0, "delta": one, "finish_reason": None} for one in sent)
    (choice,) = gathered({"choices": [piece]} for piece in [*before, last | {"finish_reason": "stop"}])
    message: dict[str, Any] = choice["message"]
    return message


def begun(index: int, name: str, arguments: str = "") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": f"call-{index}", "type": "function", "function": function, "index": index}


def more(index: int, arguments: str) -> dict[str, Any]:
    return {"function": {"name": "", "arguments": arguments}, "index": index}


def text_chunk(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def think_chunk(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [text_chunk(text)]}


@pytest.mark.parametrize(
    ("parts", "sent"),
    [
        pytest.param([], {"content": ""}, id="nothing"),
        pytest.param([Text("a")], {"content": "a"}, id="text"),
        pytest.param([Text("a"), Text("b")], {"content": "ab"}, id="texts"),
        pytest.param([CallBegun(0, "f")], {"content": "", "tool_calls": [begun(0, "f")]}, id="a call begins"),
        pytest.param(
            [CallBegun(0, "f"), Arguments(0, "{"), Arguments(0, "}")],
            {"content": "", "tool_calls": [begun(0, "f", "{}")]},
            id="a whole call",
        ),
        pytest.param([Arguments(0, "{")], {"content": "", "tool_calls": [more(0, "{")]}, id="arguments"),
        pytest.param(
            [Arguments(0, "1"), Arguments(0, "}")], {"content": "", "tool_calls": [more(0, "1}")]}, id="more arguments"
        ),
        pytest.param(
            [Arguments(0, "}"), CallBegun(1, "g"), Arguments(1, "{}"), CallBegun(2, "h")],
            {"content": "", "tool_calls": [more(0, "}"), begun(1, "g", "{}"), begun(2, "h")]},
            id="one call ends and others begin",
        ),
        pytest.param(
            [Text("a"), CallBegun(0, "f"), Arguments(0, "{")],
            {"content": "a", "tool_calls": [begun(0, "f", "{")]},
            id="text and a call",
        ),
    ],
)
def test_delta_of_text_and_calls(parts: list[Part], sent: dict[str, Any]) -> None:
    assert delta(*parts) == sent


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ([], ""),
        ([Thought("a")], [think_chunk("a")]),
        ([Thought("a"), Thought("b")], [think_chunk("ab")]),
        ([Thought("a"), Text("b")], [think_chunk("a"), text_chunk("b")]),
        ([Text("b"), Text("c")], [text_chunk("bc")]),
        ([CallBegun(0, "f")], ""),
        ([Thought("a"), Text("b"), CallBegun(0, "f")], [think_chunk("a"), text_chunk("b")]),
    ],
)
def test_delta_in_chunks(parts: list[Part], content: Any) -> None:
    sent = delta(*parts, in_chunks=True)
    assert sent["content"] == content
    assert ("tool_calls" in sent) == any(isinstance(part, CallBegun) for part in parts)


def test_later_deltas_of_a_call_have_neither_id_nor_name() -> None:
    """Clients concatenate ids and names, so each may be sent only once."""
    parts: list[Part] = [CallBegun(0, "f"), Arguments(0, "{"), Arguments(0, "}"), CallBegun(1, "g"), Arguments(1, "{}")]
    calls = [call for part in parts for call in delta(part)["tool_calls"]]
    assert [call.get("id") for call in calls] == ["call-0", None, None, "call-1", None]
    assert "".join(call["function"]["name"] for call in calls if call["index"] == 0) == "f"
    assert "".join(call["function"]["arguments"] for call in calls if call["index"] == 0) == "{}"


def test_id_of_a_call_is_asked_for_once() -> None:
    asked: list[int] = []

    def counted(index: int) -> str:
        asked.append(index)
        return f"id{index}"

    parts: list[Part] = [CallBegun(0, "f"), Arguments(0, "{"), Arguments(0, "}"), CallBegun(1, "g"), Arguments(1, "{}")]
    for part in parts:
        delta_message([part], in_chunks=False, call_id=counted)
    assert asked == [0, 1]


@pytest.mark.parametrize(
    ("parts", "content", "calls"),
    [
        pytest.param([], "", None, id="nothing"),
        pytest.param([Text("a"), Text("b")], "ab", None, id="text"),
        pytest.param([CallBegun(0, "f"), Arguments(0, "{}")], "", [("f", "{}")], id="a call"),
        pytest.param([CallBegun(0, "f")], "", [("f", "")], id="a call cut before its arguments"),
        pytest.param([CallBegun(0, "f"), Arguments(0, '{"a')], "", [("f", '{"a')], id="a call cut in its arguments"),
        pytest.param([Text("a"), CallBegun(0, "f"), Arguments(0, "{}")], "a", [("f", "{}")], id="text and a call"),
        pytest.param(
            [CallBegun(0, "f"), Arguments(0, "{"), Arguments(0, "}"), CallBegun(1, "f"), Arguments(1, "{}")],
            "",
            [("f", "{}"), ("f", "{}")],
            id="two calls of one function",
        ),
    ],
)
def test_message_of_text_and_calls(parts: list[Part], content: str, calls: Any) -> None:
    message = whole(*parts)
    made = [(call.function.name, call.function.arguments) for call in message.tool_calls or []]
    assert (message.role, message.content, made or None) == ("assistant", content, calls)
    assert [call.id for call in message.tool_calls or []] == [call_id(index) for index in range(len(made))]
    assert [call.index for call in message.tool_calls or []] == list(range(len(made)))
    assert not message.prefix


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ([Thought("a"), Thought("b"), Text("c"), Text("d")], [think_chunk("ab"), text_chunk("cd")]),
        ([Thought("a")], [think_chunk("a")]),
        ([Thought("a"), CallBegun(0, "f"), Arguments(0, "{}")], [think_chunk("a")]),
        ([Thought("a"), Text("b"), CallBegun(0, "f"), Arguments(0, "{}")], [think_chunk("a"), text_chunk("b")]),
        ([Text("a")], [text_chunk("a")]),
        ([CallBegun(0, "f"), Arguments(0, "{}")], ""),
        ([], ""),
    ],
)
def test_message_with_thinking(parts: list[Part], content: Any) -> None:
    made = whole(*parts, in_chunks=True).model_dump(exclude_unset=True)
    assert made["content"] == content
    assert list(made)[:2] == ["role", "content"]


def test_message_begins_with_the_prefix() -> None:
    assert whole(Text(" upon"), prefix="Once").content == "Once upon"
    assert whole(prefix="Once", in_chunks=True).content == "Once"


some_text = st.text(max_size=4)


@st.composite
def answers(draw: st.DrawFn) -> list[Part]:
    """Draw the parts of an answer, in many pieces."""
    parts: list[Part] = [Thought(text) for text in draw(st.lists(some_text, max_size=3)) if text]
    parts += [Text(text) for text in draw(st.lists(some_text, max_size=3)) if text]
    for index in range(draw(st.integers(0, 3))):
        parts.append(CallBegun(index, draw(st.sampled_from(["f", "g"]))))
        parts += [Arguments(index, text) for text in draw(st.lists(some_text, max_size=3)) if text]
    return parts


@settings(deadline=None, max_examples=examples(200), derandomize=True)
@hypothesis.given(answers(), st.lists(st.integers(0, 20), max_size=6), st.booleans())
def test_message_is_the_same_however_it_is_streamed(parts: list[Part], at: list[int], in_chunks: bool) -> None:
    in_chunks = in_chunks or any(isinstance(part, Thought) for part in parts)
    places = [0, *sorted(min(place, len(parts)) for place in at), len(parts)]
    deltas = [parts[start:end] for start, end in itertools.pairwise(places)]
    message = whole(*parts, in_chunks=in_chunks)
    sent = message.model_dump(exclude_unset=True)
    assert sent == streamed(*deltas, in_chunks=in_chunks) == streamed(*([part] for part in parts), in_chunks=in_chunks)
    thoughts, texts = texts_of(message)
    assert thoughts == "".join(part.text for part in parts if isinstance(part, Thought))
    assert texts == "".join(part.text for part in parts if isinstance(part, Text))
    assert as_calls(message.tool_calls) == [
        (part.name, "".join(each.text for each in parts if isinstance(each, Arguments) and each.index == part.index))
        for part in parts
        if isinstance(part, CallBegun)
    ]
    assert AssistantMessage.model_validate_json(message.model_dump_json()) == message


def texts_of(message: AssistantMessage) -> tuple[str, str]:
    if message.content is None or isinstance(message.content, str):
        return "", message.content or ""
    thoughts = [chunk.thinking for chunk in message.content if isinstance(chunk, ThinkChunk)]
    texts = [chunk.text for chunk in message.content if isinstance(chunk, TextChunk)]
    return "".join(part.text for part in itertools.chain(*thoughts) if isinstance(part, TextChunk)), "".join(texts)


def as_calls(calls: Iterable[ToolCall] | None) -> list[tuple[str, Any]]:
    return [(call.function.name, call.function.arguments) for call in calls or []]


def test_ids_of_calls_are_nine_letters_or_digits() -> None:
    for seed in (0, 1, 2**64 - 1):
        for index in range(32):
            assert re.fullmatch("[a-zA-Z0-9]{9}", call_ids(seed, 10)(index))


def test_ids_of_calls_are_those_of_the_seed_the_prompt_and_the_place() -> None:
    ids = [
        call_ids(seed, length)(index)
        for seed, length, index in itertools.product(range(12), range(1, 112), range(12))
        if (seed, length) != (1, 11)
    ]
    assert len(set(ids)) == len(ids)
    assert call_ids(3, 5)(7) == call_ids(3, 5)(7)
    assert call_ids(1, 23)(4) != call_ids(12, 3)(4)


def test_arguments_are_sent_as_text() -> None:
    sent = delta(CallBegun(0, "f"), Arguments(0, '{"é": 1}'))
    assert json.loads(sent["tool_calls"][0]["function"]["arguments"]) == {"é": 1}
