"""Answers with thinking."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.chatting import answer, ask, assert_error, events, texts
from tests.gathering import gathered
from tests.in_process import EXACT, serving_in_process
from tests.serving import RunningServer
from tests.soak import ANSWERS, SOAK
from tests.tiny_model import write_tiny_model

REASONING = {"prompt_mode": "reasoning"}
FIELDS: dict[str, Any] = {"temperature": 1.0, "max_tokens": 300, "n": ANSWERS, "random_seed": 1}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["answer"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
QUESTION = "What is 3 times 7?"


def thinking(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def parts(choice: dict[str, Any]) -> tuple[str, str]:
    """Return the thinking and the text after it."""
    content = choice["message"]["content"]
    assert isinstance(content, list)
    thought, *rest = content
    assert thought.keys() == {"type", "thinking"}
    assert thought["type"] == "thinking"
    (text,) = thought["thinking"]
    assert text.keys() == {"type", "text"}
    assert text["type"] == "text"
    assert text["text"].strip() == text["text"] != ""
    if not rest:
        return text["text"], ""
    (after,) = rest
    assert after.keys() == {"type", "text"}
    assert after["type"] == "text"
    return text["text"], after["text"]


# Results


@pytest.mark.parametrize("asked", [REASONING, {"reasoning_effort": "high"}, REASONING | {"reasoning_effort": "high"}])
def test_answer_is_thinking_and_then_text(roomy_server: RunningServer, asked: dict[str, Any]) -> None:
    choices = answer(roomy_server, **asked, **FIELDS)["choices"]
    for choice in choices:
        thought, text = parts(choice)
        assert text.strip()
        assert "<think>" not in thought + text
        assert "</think>" not in thought + text
        assert choice["message"]["tool_calls"] is None
    assert choices == answer(roomy_server, **REASONING, **FIELDS)["choices"]


@pytest.mark.parametrize("asked", [{}, {"response_format": FORM}, {"tools": [WEATHER], "tool_choice": "any"}])
def test_streamed_answers_are_the_whole_ones(roomy_server: RunningServer, asked: dict[str, Any]) -> None:
    fields = FIELDS | REASONING | asked
    assert gathered(events(roomy_server, **fields)) == answer(roomy_server, **fields)["choices"]


def test_thinking_is_streamed_as_it_comes_and_before_the_text(roomy_server: RunningServer) -> None:
    chunks = events(roomy_server, **FIELDS | REASONING | {"n": 1})
    kinds = [
        piece["type"]
        for chunk in chunks
        for piece in chunk["choices"][0]["delta"]["content"]
        if chunk["choices"][0]["delta"]["content"]
    ]
    assert kinds == sorted(kinds, reverse=True)
    assert min(kinds.count("thinking"), kinds.count("text")) > 20
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"


def test_thinking_leaves_room_for_the_answer(roomy_server: RunningServer) -> None:
    for most in (60, 120, 400):
        for choice in answer(roomy_server, **REASONING, **FIELDS | {"max_tokens": most})["choices"]:
            assert parts(choice)[1]


def test_there_is_no_thinking_unless_it_is_asked_for(roomy_server: RunningServer) -> None:
    plain = answer(roomy_server, random_seed=1)
    assert isinstance(texts(plain)[0], str)
    for neutral in ({"reasoning_effort": "none"}, {"prompt_mode": None, "reasoning_effort": None}):
        assert answer(roomy_server, random_seed=1, **neutral)["choices"] == plain["choices"]
        chunks = events(roomy_server, random_seed=1, **neutral)
        assert all(isinstance(chunk["choices"][0]["delta"]["content"], str) for chunk in chunks)


# Answers that are cut


MARKS = ("<t", "</t", "<tool", "k>", "l>")


@pytest.mark.parametrize("asked", [{}, {"response_format": FORM}, {"tools": [WEATHER], "tool_choice": "any"}])
def test_answers_cut_short_have_no_pieces_of_marks(roomy_server: RunningServer, asked: dict[str, Any]) -> None:
    fields = FIELDS | REASONING | {"n": 1} | asked
    thought, _ = parts(answer(roomy_server, **fields)["choices"][0])
    kinds = set()
    for most in (*range(0, 40, 3 if SOAK else 6), *range(80, 100, 4 if SOAK else 10)):
        (cut,) = answer(roomy_server, **fields | {"max_tokens": most})["choices"]
        if cut["message"]["content"] == "":
            kinds.add("nothing")
            continue
        begun, text = parts(cut)
        assert thought.startswith(begun)
        assert not text.startswith(MARKS)
        kinds.add("text" if text else "thinking")
    assert kinds >= {"nothing", "thinking"}


# Combined with other fields


def test_text_after_the_thinking_satisfies_the_schema(roomy_server: RunningServer) -> None:
    for choice in answer(roomy_server, response_format=FORM, **REASONING, **FIELDS)["choices"]:
        assert choice["finish_reason"] == "stop"
        Draft202012Validator(SCHEMA).validate(json.loads(parts(choice)[1]))


def test_calls_come_after_the_thinking(roomy_server: RunningServer) -> None:
    asked = {"tools": [WEATHER], "tool_choice": "any", "parallel_tool_calls": False}
    for choice in answer(roomy_server, **asked, **REASONING, **FIELDS)["choices"]:
        assert choice["finish_reason"] == "tool_calls"
        assert parts(choice)[1] == ""
        (call,) = choice["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"])["city"] in {"Paris", "Rome"}


def test_with_auto_text_or_calls_come_after_the_thinking(roomy_server: RunningServer) -> None:
    for choice in answer(roomy_server, tools=[WEATHER], **REASONING, **FIELDS)["choices"]:
        assert parts(choice)[1] or choice["message"]["tool_calls"]


def test_stop_strings_count_in_the_text_alone(roomy_server: RunningServer) -> None:
    (whole,) = answer(roomy_server, **REASONING, **FIELDS | {"n": 1})["choices"]
    thought, text = parts(whole)
    stops = [thought[5:8], text[20:26]]
    assert stops[0] not in text
    (cut,) = answer(roomy_server, stop=stops, **REASONING, **FIELDS | {"n": 1})["choices"]
    assert parts(cut) == (thought, text[: text.index(stops[1])])
    assert cut["finish_reason"] == "stop"


def test_usage_and_logprobs_count_the_thinking(roomy_server: RunningServer) -> None:
    response = answer(roomy_server, logprobs=True, **REASONING, **FIELDS | {"n": 1})
    (choice,) = response["choices"]
    entries = choice["logprobs"]["content"]
    assert len(entries) == response["usage"]["completion_tokens"] == 300
    written = b"".join(bytes(entry["bytes"]) for entry in entries).decode()
    thought, text = parts(choice)
    assert written.index(thought) < written.index(text)


# Models that think natively

NATIVE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.reasoning_content and loop.last %}<think>\n{{ message.reasoning_content }}\n</think>\n\n{% endif %}"
    "{{ message.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    "{% if not enable_thinking %}<think>\n\n</think>\n\n{% else %}BEGUN{% endif %}"
)


@pytest.fixture(scope="module")
def thinking_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Server of two models that think natively; the template of one of them opens the thinking in the prompt."""
    folder = tmp_path_factory.mktemp("models")
    for name, begun in (("begun", "<think>\n"), ("free", "")):
        write_tiny_model(folder / f"{name}.gguf", chat_template=NATIVE.replace("BEGUN", begun), context_length=4096)
    with serving_in_process(folder / "begun.gguf", folder / "free.gguf", **EXACT) as server:
        yield server


@pytest.mark.parametrize("asked", [{}, {"response_format": FORM}, {"tools": [WEATHER], "tool_choice": "any"}])
@pytest.mark.parametrize("model", ["begun", "free"])
def test_own_thinking_is_streamed_as_the_whole_has_it(
    thinking_server: RunningServer, model: str, asked: dict[str, Any]
) -> None:
    fields = FIELDS | REASONING | {"model": model, "n": ANSWERS if SOAK else 1} | asked
    assert gathered(events(thinking_server, **fields)) == answer(thinking_server, **fields)["choices"]


def test_thinking_that_has_begun_in_the_prompt_is_thinking(thinking_server: RunningServer) -> None:
    for choice in answer(thinking_server, model="begun", **FIELDS | REASONING)["choices"]:
        assert parts(choice)[1] == ""
        assert choice["finish_reason"] == "length"


# Earlier thinking

EARLIER: list[dict[str, Any]] = [
    {"role": "user", "content": "What is 2 times 7?"},
    {"role": "assistant", "content": [thinking("Two sevens make fourteen."), {"type": "text", "text": "14"}]},
    {"role": "user", "content": "And 3 times 7?"},
]


def test_earlier_thinking_is_accepted_and_left_out_of_the_prompt(roomy_server: RunningServer) -> None:
    without = [EARLIER[0], {"role": "assistant", "content": "14"}, EARLIER[2]]
    for asked in ({}, REASONING):
        fields = FIELDS | asked | {"max_tokens": 20}
        expected = answer(roomy_server, messages=without, **fields)
        response = answer(roomy_server, messages=EARLIER, **fields)
        assert response["choices"] == expected["choices"]
        assert response["usage"]["prompt_tokens"] == expected["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    "content",
    [
        [thinking("Two sevens.") | {"closed": True}, {"type": "text", "text": "14"}],
        [thinking("Two sevens.") | {"closed": False}],
        [thinking("Two sevens.") | {"signature": None}, thinking("Fourteen.") | {"signature": "c2lnbmVk"}],
        [{"type": "thinking", "thinking": []}, {"type": "text", "text": "14"}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        [
            {"type": "thinking", "thinking": [{"type": "reference", "reference_ids": [1, "a-1"]}]},
            {"type": "text", "text": "1"},
        ],
    ],
)
def test_all_shapes_of_earlier_thinking_are_accepted(roomy_server: RunningServer, content: list[Any]) -> None:
    messages = [EARLIER[0], {"role": "assistant", "content": content}, EARLIER[2]]
    assert answer(roomy_server, messages=messages, max_tokens=4)["choices"]


def test_thinking_in_the_system_message_says_how_to_think(roomy_server: RunningServer) -> None:
    system = {"role": "system", "content": [{"type": "text", "text": "Think:"}, thinking("like this")]}
    plain = answer(roomy_server, messages=[EARLIER[0]], max_tokens=1)["usage"]["prompt_tokens"]
    told = answer(roomy_server, messages=[system, EARLIER[0]], max_tokens=1)["usage"]["prompt_tokens"]
    assert told > plain + 5


def test_answer_goes_back_as_it_came(roomy_server: RunningServer) -> None:
    (choice,) = answer(roomy_server, text=QUESTION, **FIELDS | REASONING | {"n": 1})["choices"]
    messages = [{"role": "user", "content": QUESTION}, choice["message"], {"role": "user", "content": "Why?"}]
    parts(answer(roomy_server, messages=messages, **FIELDS | REASONING | {"n": 1})["choices"][0])


# Refusals


def test_reasoning_and_no_effort_contradict_each_other(tiny_server: RunningServer) -> None:
    for stream in (False, True):
        response = ask(tiny_server, stream=stream, prompt_mode="reasoning", reasoning_effort="none")
        message = assert_error(response, 400, "invalid_request_error")
        assert message == "prompt_mode reasoning and reasoning_effort none exclude each other"
        assert response.json()["param"] == "reasoning_effort"


def test_beginning_of_the_answer_and_reasoning_exclude_each_other(tiny_server: RunningServer) -> None:
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Well", "prefix": True}]
    response = ask(tiny_server, messages=messages, **REASONING)
    message = assert_error(response, 400, "invalid_request_error")
    assert message == "A prefix of the answer and reasoning exclude each other"
    assert response.json()["param"] == "messages"


def test_users_do_not_think(tiny_server: RunningServer) -> None:
    messages = [{"role": "user", "content": [thinking("Two sevens.")]}]
    message = assert_error(ask(tiny_server, messages=messages), 400, "invalid_request_error")
    assert "messages[0].content[0]" in message
    assert "'thinking'" in message


@pytest.mark.parametrize(
    "wrong", [{"prompt_mode": "fast"}, {"reasoning_effort": "extreme"}, {"prompt_mode": True}, {"reasoning_effort": 1}]
)
def test_ways_of_thinking_that_nobody_knows_get_422(tiny_server: RunningServer, wrong: dict[str, Any]) -> None:
    response = ask(tiny_server, **wrong)
    assert response.status_code == 422
    assert all(reason["loc"][:2] == ["body", *wrong] for reason in response.json()["detail"])
