# pyright: basic, reportMissingImports=false
"""Structured output, tools and reasoning."""

import json
import re
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.clients.mistral.asking import (
    QUESTION,
    Mistral,
    MistralError,
    TextChunk,
    ThinkChunk,
    assert_is_error,
    complete,
    finish_reasons,
    joined,
    request,
    stream,
    text_of,
)

# Structured output


class Weather(BaseModel):
    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


WEATHER_QUESTION = [{"role": "user", "content": "What is the weather in Rome?"}]


def test_a_json_object_is_one(mistral: Mistral) -> None:
    fields: dict[str, Any] = {"response_format": {"type": "json_object"}, "random_seed": 1, "max_tokens": 30}
    response = complete(mistral, **fields)
    assert joined(stream(mistral, **fields)) == text_of(response)
    assert response.choices[0].finish_reason in {"stop", "length"}
    if response.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(text_of(response)), dict)


def test_a_model_class_is_filled_in(mistral: Mistral) -> None:
    fields = request(messages=WEATHER_QUESTION, random_seed=1, max_tokens=60)
    response: Any = mistral.chat.parse(response_format=Weather, **fields)
    assert response.choices[0].finish_reason == "stop"
    assert isinstance(response.choices[0].message.parsed, Weather)
    with mistral.chat.parse_stream(response_format=Weather, **fields) as events:
        chunks = [event.data for event in events]
    assert Weather.model_validate_json(joined(chunks)) == response.choices[0].message.parsed


def test_a_schema_that_is_none_is_refused(mistral: Mistral) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "wrong", "schema": {"type": "circle"}}}
    with pytest.raises(MistralError) as caught:
        complete(mistral, response_format=form)
    assert assert_is_error(caught.value, 400)["param"] == "response_format.json_schema.schema"


# Tools


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": Weather.model_json_schema() | {"additionalProperties": False},
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time", "description": "The time.", "parameters": {}}}
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def ask_for_calls(**fields: Any) -> dict[str, Any]:
    tools = {"messages": WEATHER_QUESTION, "tools": [WEATHER, CLOCK], "max_tokens": 100, "random_seed": 1}
    return tools | {"parallel_tool_calls": False} | fields


def assert_calls(choice: Any) -> None:
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    for index, call in enumerate(choice.message.tool_calls):
        assert re.fullmatch("[a-zA-Z0-9]{9}", call.id)
        assert (call.type, call.index) == ("function", index)
        if call.function.name == "get_weather":
            Weather.model_validate_json(call.function.arguments)
        else:
            assert (call.function.name, call.function.arguments) == ("get_time", "{}")


def put_together(chunks: list[Any]) -> list[tuple[str, str, str]]:
    """Return ids, names and arguments of the calls of a stream."""
    calls: list[tuple[str, str, str]] = []
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or []:
            if call.index == len(calls):
                calls.append((call.id, call.function.name, call.function.arguments))
            else:
                call_id, name, arguments = calls[call.index]
                assert (call.id, call.function.name) == ("null", "")
                calls[call.index] = (call_id, name, arguments + call.function.arguments)
    return calls


@pytest.mark.parametrize("choice", ["any", "required", NAMED], ids=["any", "required", "named"])
def test_a_demanded_call_is_made_streamed_or_not(mistral: Mistral, choice: Any) -> None:
    fields = ask_for_calls(tool_choice=choice)
    (made,) = complete(mistral, **fields).choices
    assert_calls(made)
    assert len(made.message.tool_calls) == 1
    if choice == NAMED:
        assert made.message.tool_calls[0].function.name == "get_weather"
    chunks = stream(mistral, **fields)
    assert finish_reasons(chunks) == ["tool_calls"]
    assert joined(chunks) == ""
    expected = [(call.id, call.function.name, call.function.arguments) for call in made.message.tool_calls]
    assert put_together(chunks) == expected


def test_calls_are_made_side_by_side(mistral: Mistral) -> None:
    messages = [{"role": "user", "content": "What is the weather in Rome and in Paris?"}]
    fields = ask_for_calls(
        messages=messages, tools=[WEATHER], tool_choice="any", parallel_tool_calls=True, max_tokens=200
    )
    (made,) = complete(mistral, **fields).choices
    assert made.finish_reason in {"tool_calls", "length"}
    assert made.message.tool_calls
    expected = [(call.id, call.function.name, call.function.arguments) for call in made.message.tool_calls]
    assert put_together(stream(mistral, **fields)) == expected


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_without_a_demand_there_is_text_or_a_call(mistral: Mistral, choice: str) -> None:
    (made,) = complete(mistral, **ask_for_calls(tool_choice=choice, max_tokens=12)).choices
    assert made.message.content or (choice == "auto" and made.message.tool_calls)


def test_the_result_of_a_call_is_answered(mistral: Mistral) -> None:
    message = complete(mistral, **ask_for_calls(tool_choice="any")).choices[0].message
    (call,) = message.tool_calls
    by_id = {"role": "tool", "tool_call_id": call.id, "content": "It is 21 degrees and sunny."}
    for result in (by_id, by_id | {"name": call.function.name}):
        fields = ask_for_calls(messages=[*WEATHER_QUESTION, message, result], tool_choice="none", max_tokens=16)
        assert text_of(complete(mistral, **fields)).strip()


def test_a_result_of_another_call_is_refused(mistral: Mistral) -> None:
    call = {"id": "abcdefgh1", "function": {"name": "get_weather", "arguments": "{}"}}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "another12", "content": "It is sunny."}
    with pytest.raises(MistralError) as caught:
        complete(mistral, **ask_for_calls(messages=[*WEATHER_QUESTION, message, result]))
    body = assert_is_error(caught.value, 400)
    assert body["type"] == "invalid_request_tool_call_id"
    assert "another12" in body["message"]


@pytest.mark.parametrize("method", ["complete", "stream"])
def test_a_call_of_no_tools_is_refused(mistral: Mistral, method: str) -> None:
    with pytest.raises(MistralError) as caught:
        getattr(mistral.chat, method)(**request(tool_choice="any"))
    assert assert_is_error(caught.value, 400)["param"] == "tool_choice"


# Reasoning


def test_thinking_comes_before_the_text(mistral: Mistral) -> None:
    fields: dict[str, Any] = {"prompt_mode": "reasoning", "random_seed": 1, "max_tokens": 40}
    message = complete(mistral, **fields).choices[0].message
    assert isinstance(message.content[0], ThinkChunk)
    assert [type(chunk) for chunk in message.content[1:]] in ([], [TextChunk])
    pieces = [piece for chunk in stream(mistral, **fields) for piece in chunk.choices[0].delta.content or []]
    thoughts = [piece for piece in pieces if isinstance(piece, ThinkChunk)]
    assert thought_of(thoughts) == thought_of(message.content[:1])
    assert pieces[: len(thoughts)] == thoughts
    assert [piece.text for piece in pieces[len(thoughts) :]] or len(message.content) == 1
    messages = [*QUESTION, message, {"role": "user", "content": "Go on."}]
    assert complete(mistral, messages=messages, max_tokens=4).choices[0].message.content


def thought_of(chunks: list[Any]) -> str:
    return "".join(part.text for chunk in chunks for part in chunk.thinking)
